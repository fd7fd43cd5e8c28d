"""The best box that an anchor-free head can give for each box that is there.

Such a head has one anchor in the centre of each cell of each level, and gives the distances from it to the four sides.
Two things bound it whatever it learns. Only an anchor inside a box is assigned to it, so that a box between the centres
has none. And where a distance is the mean of a distribution over `reg_max` bins 0, 1, ... of the level's stride (Li et
al. 2020, arXiv:2006.04388, section 3.2), it is at most `reg_max` - 1 strides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Head:
    """What of a head decides its ceiling."""

    strides: tuple[int, ...] = (8, 16, 32)
    """Of each level, in pixels."""
    reg_max: int | None = 16
    """Bins of a distance; None: distances have no limit."""
    side_floor: float = 0.0
    """A box whose side is below so many strides of a level is taken for so wide when its anchors are looked for (not
    when it is compared): from 1 on every box has an anchor on every level."""

    def __post_init__(self) -> None:
        if not self.strides or any(stride < 1 for stride in self.strides):
            raise ValueError(f"strides {self.strides}: expected one or more, each at least 1")
        if self.reg_max is not None and self.reg_max < 2:
            raise ValueError(f"reg_max {self.reg_max}: expected at least 2 bins")


@dataclass(frozen=True)
class Ceiling:
    """Of N boxes."""

    iou: Floats
    """``[N]``: of each box with the best one that a candidate can give; 0 where there is no candidate."""
    stride: NDArray[np.int64]
    """``[N]``: the stride of the level that it is from; 0 where there is none."""

    @property
    def found(self) -> NDArray[np.bool_]:
        """``[N]``: whether the box has a candidate."""
        return self.stride > 0


def assignment_ceiling(boxes: Floats, sizes: Floats, head: Head) -> Ceiling:
    """The ceiling of boxes ``[N, 4]`` (x1, y1, x2, y2) in images ``[N, 2]`` (height, width), all in input pixels.

    A cell that is partly beyond the image has its anchor all the same. Raises ValueError where the shapes differ.
    """
    if boxes.ndim != 2 or boxes.shape[1] != 4 or sizes.shape != (len(boxes), 2):
        raise ValueError(f"boxes {boxes.shape} and sizes {sizes.shape}: expected [N, 4] and [N, 2]")
    best, stride_of = np.zeros(len(boxes)), np.zeros(len(boxes), np.int64)
    for stride in head.strides:
        reach = np.inf if head.reg_max is None else (head.reg_max - 1) * float(stride)
        across = _axis(boxes[:, 0], boxes[:, 2], sizes[:, 1], stride, reach, head.side_floor)
        down = _axis(boxes[:, 1], boxes[:, 3], sizes[:, 0], stride, reach, head.side_floor)
        inter = across.common * down.common
        union = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) + across.given * down.given - inter
        iou = np.where(union > 0, inter / np.where(union > 0, union, 1.0), 0.0)
        better = across.candidate & down.candidate & ((iou > best) | (stride_of == 0))
        best, stride_of = np.where(better, iou, best), np.where(better, stride, stride_of)
    return Ceiling(best, stride_of)


@dataclass(frozen=True)
class _Axis:
    candidate: NDArray[np.bool_]
    given: Floats
    """Length of the side that the best anchor gives."""
    common: Floats
    """What of it is in the box."""


def _axis(low: Floats, high: Floats, size: Floats, stride: int, reach: float, floor: float) -> _Axis:
    """One axis, by the anchor nearest to the middle of the side: it gives the longest part, on both axes alike.

    The overlap grows with the common part of either axis while the other stays, so that the axes can be looked at one
    by one.
    """
    middle = (low + high) / 2
    cells = np.maximum(np.ceil(size / stride), 1)
    anchor = (np.clip(np.floor(middle / stride), 0, cells - 1) + 0.5) * stride
    half = np.maximum(high - low, floor * stride) / 2
    # An anchor on the edge of a box is none of its own, but it is where the floor makes the box as wide as a cell.
    inside = np.abs(anchor - middle) <= half if floor else np.abs(anchor - middle) < half
    before, after = np.clip(anchor - low, 0, reach), np.clip(high - anchor, 0, reach)
    common = np.minimum(anchor + after, high) - np.maximum(anchor - before, low)
    return _Axis(inside, before + after, np.maximum(common, 0))
