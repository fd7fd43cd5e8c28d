"""Losses of coordinates: they know nothing of overlap, and depend on the unit."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo.models.boxes.contracts import BoxLoss
from zoo_iou_losses.geometry import widened
from zoo_iou_losses.options import SmoothL1Options


class L1(BoxLoss):
    """The sum of the four coordinates' absolute differences."""

    scale_invariant = False

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        return (widened(predicted) - widened(target)).abs().sum(-1)  # [...]


class L2(BoxLoss):
    """The sum of the four coordinates' squared differences. It ends where a square would overflow (4e18)."""

    scale_invariant = False

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        difference = widened(predicted) - widened(target)  # [..., 4]
        limit = 0.25 * torch.finfo(difference.dtype).max ** 0.5
        return difference.clamp(-limit, limit).square().sum(-1)  # [...]


class SmoothL1(BoxLoss):
    """The sum over coordinates of ``d^2 / (2 beta)`` up to a difference of beta, ``|d| - beta / 2`` beyond."""

    scale_invariant = False
    options: SmoothL1Options

    def __init__(self, options: SmoothL1Options) -> None:
        super().__init__(options)
        self.length = options.beta

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        predicted, target = torch.broadcast_tensors(widened(predicted), widened(target))
        predicted, target = (
            boxes.to(torch.promote_types(predicted.dtype, target.dtype)) for boxes in (predicted, target)
        )
        return F.smooth_l1_loss(predicted, target, reduction="none", beta=self.options.beta).sum(-1)  # [...]
