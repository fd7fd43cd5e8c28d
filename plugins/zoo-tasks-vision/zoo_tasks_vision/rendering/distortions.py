"""What happens to a line between the printer and the model."""

from __future__ import annotations

import io

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from zoo_tasks_vision.rendering.options import DistortionOptions

Pixels = NDArray[np.uint8]


class Distortions:
    """Of one line, drawn before anything is rendered, so that each is the same whatever the others are."""

    def __init__(self, draw: Generator, options: DistortionOptions) -> None:
        chances, amounts = draw.random(4).tolist(), draw.random(4).tolist()
        corners = draw.uniform(-1, 1, (4, 2))
        self.blur = options.blur_radius * amounts[0] if chances[0] < options.blur else 0.0
        self.noise = options.noise_level * amounts[1] if chances[1] < options.noise else 0.0
        span = 95 - options.jpeg_quality
        self.quality = options.jpeg_quality + round(span * amounts[2]) if chances[2] < options.jpeg else None
        shift = options.perspective_shift * amounts[3] if chances[3] < options.perspective else 0.0
        self.corners = corners * shift if shift else None

    def of_ink(self, ink: Image.Image, font_size: float) -> Image.Image:
        """Ink seen from another place, and out of focus."""
        if self.corners is not None:
            coefficients = perspective(ink.width, ink.height, self.corners * ink.height)
            # Pillow fills with 0, no ink, what was not in sight.
            ink = ink.transform(ink.size, Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BILINEAR)
        if self.blur:
            ink = ink.filter(ImageFilter.GaussianBlur(self.blur * font_size))
        return ink

    def of_pixels(self, pixels: NDArray[np.float32], draw: Generator) -> Pixels:
        """``[H, W]`` or ``[H, W, 3]`` with noise, rounded, and through JPEG."""
        if self.noise:
            pixels = pixels + np.float32(self.noise) * draw.standard_normal(pixels.shape, dtype=np.float32)
        found = np.clip(pixels + np.float32(0.5), 0, 255).astype(np.uint8)
        return found if self.quality is None else through_jpeg(found, self.quality)


def through_jpeg(pixels: Pixels, quality: int) -> Pixels:
    """What is left of the pixels after JPEG."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality)
    with Image.open(stream) as image:
        return np.asarray(image)


def perspective(width: int, height: int, moved: NDArray[np.float64]) -> tuple[float, ...]:
    """Pillow's eight coefficients of the map that takes the corners of an image to where they are `moved` by.

    `moved` is ``[4, 2]``, in pixels, of the upper left, upper right, lower right and lower left corner. The map goes
    from the new image to the old one: (x, y) -> ((ax + by + c) / (gx + hy + 1), (dx + ey + f) / (gx + hy + 1)).
    """
    old = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)
    new = old + moved
    rows, values = [], []
    for (x, y), (u, v) in zip(new, old, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return tuple(float(value) for value in np.linalg.solve(np.array(rows), np.array(values)))
