"""Digits as Pillow's own font has them, each a little turned, sheared, scaled, moved and dimmed."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from zoo.errors import ZooError

VERSION = 1
"""Raise it with any change that gives other images."""
TURN, SHEAR, SCALE, SHIFT, DIM = 12.0, 0.15, (0.85, 1.1), 0.06, 0.75
"""Degrees; pixels a pixel; factors; a share of the size; the darkest."""
_FINE = 4
"""Digits are drawn so many times as large, and twice as large when they are moved."""
_FILLED = 0.72
"""Height of an undisturbed digit, as a share of the image."""


def rendered(classes: int, count: int, size: int, draw: np.random.Generator) -> NDArray[np.uint8]:
    """``[classes, count, size, size]``: so many renderings of each digit, 0 = background.

    Raises ZooError where Pillow has been built without FreeType.
    """
    found = np.zeros((classes, count, size, size), np.uint8)
    for digit in range(classes):
        drawn = _glyph(str(digit), size * _FINE)
        for number in range(count):
            found[digit, number] = _jittered(drawn, size, draw)
    return found


def _glyph(text: str, side: int) -> Image.Image:
    """The character in the middle of a square."""
    try:
        font = ImageFont.load_default(side * _FILLED / 0.72)  # digits are 0.72 of the em
    except (ImportError, OSError) as error:
        raise ZooError(f"digits are rendered with Pillow's own font, which needs FreeType: {error}") from error
    image = Image.new("L", (side, side))
    ImageDraw.Draw(image).text((side / 2, side / 2), text, fill=255, font=font, anchor="mm")
    return image


def _jittered(drawn: Image.Image, size: int, draw: np.random.Generator) -> NDArray[np.uint8]:
    """``[size, size]``"""
    turn, shear = math.radians(draw.uniform(-TURN, TURN)), draw.uniform(-SHEAR, SHEAR)
    across, down = draw.uniform(*SCALE, size=2)
    shift = draw.uniform(-SHIFT, SHIFT, size=2) * drawn.width
    dim = draw.uniform(DIM, 1.0)
    cos, sin = math.cos(turn), math.sin(turn)
    # From a place in the result to one in `drawn`, both measured from the middle, in pixels of `drawn`.
    matrix = np.array([[cos / across, (shear * cos + sin) / down], [-sin / across, (cos - shear * sin) / down]])
    middle, ratio = drawn.width / 2, _FINE / 2
    offset = middle - matrix @ (middle + shift)
    affine = (*(matrix[0] * ratio), offset[0], *(matrix[1] * ratio), offset[1])
    moved = drawn.transform((2 * size, 2 * size), Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR)
    small = np.asarray(moved.resize((size, size), Image.Resampling.BOX), np.float64)
    return np.asarray(np.round(small * dim), np.uint8)
