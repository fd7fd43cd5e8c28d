"""Overlap of boxes, and the taking away of those that say the same."""

from __future__ import annotations

import torch
from torch import Tensor


def iou(one: Tensor, other: Tensor) -> Tensor:
    """Intersection over union of corners ``[..., 4]``, broadcast against each other -> ``[...]``; 0 where neither has
    an area."""
    low, high = torch.maximum(one[..., :2], other[..., :2]), torch.minimum(one[..., 2:], other[..., 2:])
    inner = (high - low).clamp(min=0).prod(-1)  # [...]
    areas = [(boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1) for boxes in (one, other)]
    union = areas[0] + areas[1] - inner
    return torch.where(union > 0, inner / union.clamp(min=torch.finfo(union.dtype).tiny), 0.0)


def pairwise_iou(one: Tensor, other: Tensor) -> Tensor:
    """The same of every pair of ``[N, 4]`` and ``[M, 4]`` -> ``[N, M]``."""
    return iou(one[:, None], other[None])


def surviving(boxes: Tensor, classes: Tensor, iou: float) -> Tensor:
    """Greedy non-maximum suppression: the places ``[k]``, in order, of corners ``[N, 4]``, surest first, that no surer
    one of the same class overlaps by more than `iou`."""
    rivals = (pairwise_iou(boxes, boxes) > iou) & (classes[:, None] == classes[None])  # [N, N]
    rows = rivals.cpu().numpy()
    alive = torch.ones(len(boxes), dtype=torch.bool).numpy()
    for number in range(len(rows)):
        if alive[number]:
            alive[number + 1 :] &= ~rows[number, number + 1 :]
    return torch.from_numpy(alive).nonzero()[:, 0].to(boxes.device)
