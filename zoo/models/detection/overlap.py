"""Overlap of boxes, and the taking away of those that say the same."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

_BLOCK = 512
"""Boxes that are compared with all less sure ones at once: what is held grows with their number, not its square."""


def pairwise_iou(one: Tensor, other: Tensor) -> Tensor:
    """Intersection over union of corners ``[N, 4]`` and ``[M, 4]`` -> ``[N, M]``; 0 where neither has an area."""
    return paired_iou(one[:, None], other[None])


def paired_iou(one: Tensor, other: Tensor) -> Tensor:
    """The same of pairs, ``[..., 4]`` and ``[..., 4]`` -> ``[...]``."""
    low, high = torch.maximum(one[..., :2], other[..., :2]), torch.minimum(one[..., 2:], other[..., 2:])
    inner = (high - low).clamp(min=0).prod(-1)
    areas = [(boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1) for boxes in (one, other)]
    union = areas[0] + areas[1] - inner
    return torch.where(union > 0, inner / union.clamp(min=torch.finfo(union.dtype).tiny), 0.0)


def surviving(boxes: Tensor, classes: Tensor, iou: float) -> Tensor:
    """Greedy non-maximum suppression: the places ``[k]``, in order, of corners ``[N, 4]``, surest first, that no surer
    one of the same class overlaps by more than `iou`."""
    alive = np.ones(len(boxes), bool)
    for start in range(0, len(boxes), _BLOCK):
        block = start + alive[start : start + _BLOCK].nonzero()[0]  # [b]
        rows = torch.from_numpy(block).to(boxes.device)
        rivals = (pairwise_iou(boxes[rows], boxes[start:]) > iou) & (classes[rows, None] == classes[None, start:])
        for number, row in zip(block, rivals.cpu().numpy(), strict=True):
            if alive[number]:
                alive[number + 1 :] &= ~row[number + 1 - start :]
    return torch.from_numpy(alive.nonzero()[0]).to(boxes.device)
