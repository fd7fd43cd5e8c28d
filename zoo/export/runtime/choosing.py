"""Which of a detector's boxes are what it finds: `zoo.models.detection.choosing` without torch, number for number."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zoo.export.folder import BoxPart

Floats = NDArray[np.float32]
Places = NDArray[np.int64]

_BLOCK = 512
"""Boxes that are compared with all less sure ones at once: what is held grows with their number, not its square."""


class Found(NamedTuple):
    """What is found in one image, k in number, surest first; of equal ones the first box and class first."""

    scores: Floats
    """``[k]``"""
    labels: Places
    """``[k]``: classes."""
    boxes: Floats
    """``[k, 4]``, ``cx, cy, w, h`` as shares of the image, which they may reach beyond."""


def found(scores: Floats, boxes: Floats, real: NDArray[np.bool_], part: BoxPart, min_score: float) -> Found:
    """What is found in an image of whose boxes ``[Q, 4]`` those are its own that are `real` ``[Q]``, by scores
    ``[Q, C]`` of at least `min_score`."""
    held = np.flatnonzero(real)  # [q]
    of_image = scores[held]  # [q, C]
    count = part.candidates or len(held)
    # What is left out for its score could have taken none of the others away: they are surer.
    if part.several:
        classes = of_image.shape[1]
        flat = of_image.ravel()
        near = np.flatnonzero(flat >= min_score)
        surest = near[_surest(flat[near], count)]  # [k]
        values, labels, rows = flat[surest], surest % classes, surest // classes
    else:
        likeliest = of_image.argmax(1)  # [q]
        best = of_image[np.arange(len(held)), likeliest]  # [q]
        near = np.flatnonzero(best >= min_score)
        rows = near[_surest(best[near], count)]  # [k]
        values, labels = best[rows], likeliest[rows]
    chosen = boxes[held[rows]]  # [k, 4]
    if part.nms_iou is not None:
        kept = surviving(corners(chosen), labels, part.nms_iou)
        values, labels, chosen = values[kept], labels[kept], chosen[kept]
    return Found(values, labels, chosen)


def in_pixels(boxes: Floats, height: int, width: int) -> NDArray[np.float64]:
    """``cx, cy, w, h`` ``[k, 4]`` as shares of an image of this size -> its corners in pixels, cut to it."""
    half = np.maximum(boxes[:, 2:], 0) / 2
    low, high = np.clip(boxes[:, :2] - half, 0, 1), np.clip(boxes[:, :2] + half, 0, 1)
    centre, size = ((low + high) / 2).astype(np.float64), (high - low).astype(np.float64)
    scale = np.array([width, height], np.float64)
    return np.concatenate(((centre - size / 2) * scale, (centre + size / 2) * scale), axis=1)


def corners(boxes: Floats) -> Floats:
    """``cx, cy, w, h`` -> ``x1, y1, x2, y2``, both ``[k, 4]``."""
    centre, half = boxes[:, :2], boxes[:, 2:] / 2
    return np.concatenate((centre - half, centre + half), axis=1)


def surviving(boxes: Floats, classes: Places, iou: float) -> Places:
    """Greedy non-maximum suppression: the places ``[k]``, in order, of corners ``[N, 4]``, surest first, that no surer
    one of the same class overlaps by more than `iou`."""
    alive = np.ones(len(boxes), np.bool_)
    for start in range(0, len(boxes), _BLOCK):
        block = start + np.flatnonzero(alive[start : start + _BLOCK])  # [b]
        rivals = _overlap(boxes[block], boxes[start:]) > iou  # [b, N - start]
        rivals &= classes[block, None] == classes[None, start:]
        for number, row in zip(block, rivals, strict=True):
            if alive[number]:
                alive[number + 1 :] &= ~row[number + 1 - start :]
    return np.flatnonzero(alive)


def _overlap(one: Floats, other: Floats) -> Floats:
    """Intersection over union of corners ``[N, 4]`` and ``[M, 4]`` -> ``[N, M]``; 0 where neither has an area."""
    low = np.maximum(one[:, None, :2], other[None, :, :2])  # [N, M, 2]
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    inner = _area(high - low)  # [N, M]
    union = _area(one[:, 2:] - one[:, :2])[:, None] + _area(other[:, 2:] - other[:, :2]) - inner
    least = np.finfo(np.float32).tiny
    return np.where(union > 0, inner / np.maximum(union, least), np.float32(0))


def _area(sides: Floats) -> Floats:
    """``[..., 2]`` -> ``[...]``; 0 where a side is below 0."""
    sides = np.maximum(sides, 0)
    product: Floats = sides[..., 0] * sides[..., 1]
    return product


def _surest(scores: Floats, count: int) -> Places:
    """Places of the `count` largest of scores ``[n]``, largest first, of equal ones the first first."""
    if count < len(scores):
        least = np.partition(scores, len(scores) - count)[len(scores) - count]
        near = np.flatnonzero(scores >= least)
    else:
        near = np.arange(len(scores))
    return near[np.argsort(-scores[near], kind="stable")[:count]]
