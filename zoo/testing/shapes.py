"""A task of boxes that needs nothing: dark and light rectangles on grey noise, without files.

It comes with the kit, as `zoo.testing.glyphs` does, so that whatever finds boxes is tried on the same examples.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from pydantic import Field

from zoo.registry import Component, Registry, current_registry
from zoo.spec.options import Options
from zoo.tasks import DataHome, Example, GroundTruth, PixelImage, PreparedTask, Split, Task
from zoo.tasks.contracts import SPLITS, Progress, silent

DISTRIBUTION = "zoo-testing-shapes"
DARK, LIGHT = 2, 7
"""Their categories: not numbers that count from 0."""


class ShapesOptions(Options):
    """Options of the task `shapes`."""

    most: int = Field(default=3, ge=1, le=100, description="Rectangles of an image at most; some have none")
    train: int = Field(default=24, ge=1, le=100_000, description="Images to learn from")
    dev: int = Field(default=6, ge=1, le=100_000, description="Images of the development split")
    test: int = Field(default=6, ge=1, le=100_000, description="Images of the test split")
    seed: int = Field(default=1, ge=0, lt=2**32, description="Seed of the images")


class Shapes(Task):
    """Rectangles to be found, dark or light, in images of several sizes."""

    options: ShapesOptions

    @property
    def name(self) -> str:
        return "shapes"

    def prepare(self, home: DataHome, progress: Progress = silent) -> PreparedShapes:
        return PreparedShapes(self.options)


class PreparedShapes(PreparedTask):
    """The images, in memory."""

    inputs = "image"
    outputs = "detections"

    def __init__(self, options: ShapesOptions) -> None:
        self._examples = _examples(options)
        digest = hashlib.sha256()
        for split in SPLITS:
            for example in self._examples[split]:
                assert example.image is not None
                digest.update(f"{example.id} {example.boxes} {example.image.size}".encode())
                digest.update(example.image.load().tobytes())
        self.revision = f"sha256:{digest.hexdigest()}"
        self.facts: Mapping[str, Any] = {
            "categories": [{"id": DARK, "name": "dark"}, {"id": LIGHT, "name": "light"}],
        }

    def examples(self, split: Split) -> Sequence[Example]:
        return self._examples[split]


@lru_cache(maxsize=8)
def _examples(options: ShapesOptions) -> Mapping[Split, Sequence[Example]]:
    draw = np.random.default_rng(options.seed)
    return {
        split: tuple(_example(draw, split, number, options.most) for number in range(getattr(options, split)))
        for split in SPLITS
    }


def _example(draw: np.random.Generator, split: Split, number: int, most: int) -> Example:
    height, width = (int(side) for side in draw.integers(32, 65, 2))
    pixels = draw.integers(96, 160, (height, width, 1)).astype(np.uint8).repeat(3, axis=2)
    boxes: list[GroundTruth] = []
    for _ in range(int(draw.integers(0, most + 1))):
        h, w = (int(side) for side in draw.integers(8, (height // 2, width // 2)))
        y, x = int(draw.integers(0, height - h + 1)), int(draw.integers(0, width - w + 1))
        dark = bool(draw.integers(2))
        pixels[y : y + h, x : x + w] = 0 if dark else 255
        boxes.append(GroundTruth((float(x), float(y), float(x + w), float(y + h)), DARK if dark else LIGHT))
    return Example(
        id=f"{split}/{number}",
        source=f"image {number} of {split}",
        target="",
        image=PixelImage(pixels),
        boxes=tuple(boxes),
    )


SHAPES = Component(
    kind="task",
    name="shapes",
    target=f"{__name__}:Shapes",
    options=f"{__name__}:ShapesOptions",
    summary="Dark and light rectangles to be found on noise, for tests of whatever finds boxes",
    traits={"inputs": "image", "outputs": "detections"},
)


def with_shapes(registry: Registry | None = None) -> Registry:
    """`registry` (the current one where absent) and the task, named ``zoo-testing-shapes/shapes``."""
    return (registry or current_registry()).plus(DISTRIBUTION, "0", __name__, (SHAPES,))
