"""Textures that text stands on: generated, so that nobody's pictures are needed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

Grey = NDArray[np.float32]
"""``[H, W]``: what is added to the level of the paper."""

_STRENGTH = 22.0
"""Most that a texture darkens or lightens, of 255."""


def _plain(draw: Generator, height: int, width: int) -> Grey:
    return np.zeros((height, width), np.float32)


def _gradient(draw: Generator, height: int, width: int) -> Grey:
    across, down = draw.uniform(-1, 1, 2)
    x = np.linspace(-0.5, 0.5, width, dtype=np.float32)
    y = np.linspace(-0.5, 0.5, height, dtype=np.float32)
    return (across * x[None, :] + down * y[:, None]).astype(np.float32)


def _paper(draw: Generator, height: int, width: int) -> Grey:
    """Smooth blotches: coarse noise, enlarged."""
    cell = max(4, height // 3)
    coarse = draw.random((height // cell + 3, width // cell + 3), dtype=np.float32) - 0.5
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BILINEAR))


def _ruled(draw: Generator, height: int, width: int) -> Grey:
    rows = np.zeros((height, 1), np.float32)
    rows[int(draw.integers(height)) :: max(3, int(height * draw.uniform(0.4, 1.2)))] = -1
    return np.repeat(rows, width, axis=1)


def _grid(draw: Generator, height: int, width: int) -> Grey:
    step = max(3, int(height * draw.uniform(0.25, 0.8)))
    texture = np.zeros((height, width), np.float32)
    texture[int(draw.integers(step)) :: step] = -1
    texture[:, int(draw.integers(step)) :: step] = -1
    return texture


def _dots(draw: Generator, height: int, width: int) -> Grey:
    step = max(3, int(height * draw.uniform(0.15, 0.4)))
    texture = np.zeros((height, width), np.float32)
    size = max(1, step // 3)
    for down in range(size):
        for across in range(size):
            texture[down::step, across::step] = -1
    return texture


def _waves(draw: Generator, height: int, width: int) -> Grey:
    length = height * draw.uniform(0.2, 0.8)
    x = np.arange(width, dtype=np.float32)[None, :]
    y = np.arange(height, dtype=np.float32)[:, None]
    bend = height * 0.15 * np.sin(x * np.float32(2 * np.pi / (height * draw.uniform(1, 3))))
    return np.sin((y + bend) * np.float32(2 * np.pi / length)).astype(np.float32)


def _checks(draw: Generator, height: int, width: int) -> Grey:
    step = max(2, int(height * draw.uniform(0.15, 0.5)))
    x, y = np.arange(width) // step, np.arange(height) // step
    return (2.0 * ((x[None, :] + y[:, None]) % 2) - 1).astype(np.float32)


_TEXTURES: dict[str, Callable[[Generator, int, int], Grey]] = {
    "plain": _plain,
    "gradient": _gradient,
    "paper": _paper,
    "ruled": _ruled,
    "grid": _grid,
    "dots": _dots,
    "waves": _waves,
    "checks": _checks,
}


def texture(kind: str, draw: Generator, height: int, width: int) -> Grey:
    """A texture ``[H, W]`` between about -22 and 22."""
    strength = _STRENGTH * draw.uniform(0.3, 1.0)
    return _TEXTURES[kind](draw, height, width) * np.float32(strength)
