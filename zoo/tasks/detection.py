"""What object detection gives and is scored against: boxes in pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass

Box = tuple[float, float, float, float]
"""x and y of the upper left corner, x and y of the lower right one."""


@dataclass(frozen=True)
class Detection:
    """One box that a model found. A model's output for an image is a list of them."""

    box: Box
    score: float
    """Confidence: higher is surer. Any finite number."""
    category: int

    def __post_init__(self) -> None:
        _check(self.box, self.category)
        if not math.isfinite(self.score):
            raise ValueError(f"score {self.score}: expected a finite number")


@dataclass(frozen=True)
class GroundTruth:
    """One box that is there. The reference of an image is a list of them."""

    box: Box
    category: int
    crowd: bool = False
    """Whether the box holds a group that nobody counted: detections in it are neither right nor wrong."""

    def __post_init__(self) -> None:
        _check(self.box, self.category)


def _check(box: Box, category: int) -> None:
    if len(box) != 4 or not all(map(math.isfinite, box)) or box[2] < box[0] or box[3] < box[1]:
        raise ValueError(f"box {box}: expected four finite numbers x1, y1, x2, y2 with x1 <= x2 and y1 <= y2")
    if isinstance(category, bool) or not isinstance(category, int):
        raise ValueError(f"category {category!r}: expected an integer")
