"""Wise-IoU: the overlap's loss weighed by how far the centres are, and by how ordinary the box is."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo.models.boxes.contracts import BoxLoss
from zoo_iou_losses.geometry import Pair
from zoo_iou_losses.options import WIoUv3Options


def _distance_weighed(pair: Pair) -> tuple[Tensor, Tensor]:
    """``R (1 - IoU)`` and ``1 - IoU``; ``R = exp(rho^2 / (Wg^2 + Hg^2))``, whose divisor has no gradient."""
    x, y = pair.offset()
    width, height = pair.hull()
    overlap = 1 - pair.iou()
    return torch.exp(pair.over(x * x + y * y, (width * width + height * height).detach())) * overlap, overlap


class WIoUv1(BoxLoss):
    """``R (1 - IoU)``, ``R = exp(rho^2 / (Wg^2 + Hg^2))`` with the hull's sides Wg, Hg, cut off from the gradient."""

    bounds = (0.0, math.e)
    exact_gradient = False

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        return _distance_weighed(Pair(predicted, target))[0]


class WIoUv3(BoxLoss):
    """``r`` times that of v1, ``r = beta / (delta alpha^(beta - delta))``, ``beta = (1 - IoU) / mean(1 - IoU)``.

    The outlier degree beta is a weight without gradient. The mean runs over the batches of training (of one process),
    from 1 on; it is part of the state. A batch with a box of NaN leaves it as it is; one that is computed again in a
    backward pass (gradient checkpointing) moves it once.

    alpha 1.9 and delta 3 are the paper's; the authors' later code has 1.7 and 2.7.
    """

    exact_gradient = False
    options: WIoUv3Options
    mean: Tensor

    def __init__(self, options: WIoUv3Options) -> None:
        super().__init__(options)
        self.register_buffer("mean", torch.ones(()))
        self._moved_ahead = False
        """Whether forward passes move the mean: then those within a backward pass are repetitions. With a reentrant
        checkpoint the forward pass is without gradients, and the one within the backward pass the only one."""

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        loss, overlap = _distance_weighed(Pair(predicted, target))
        overlap = overlap.detach()
        repeated = self._moved_ahead and torch._C._current_graph_task_id() != -1
        if self.training and torch.is_grad_enabled() and overlap.numel() and not repeated:
            self._moved_ahead = torch._C._current_graph_task_id() == -1
            batch = overlap.mean().to(self.mean.dtype)
            # A step that failed (boxes of NaN) is skipped by its host; in the mean it would stay for good.
            self.mean.lerp_(torch.where(batch.isfinite(), batch, self.mean), self.options.momentum)
        alpha, delta = self.options.alpha, self.options.delta
        # A mean of nothing: then every box is exact, or an outlier without limit, whose weight is nothing.
        beta = overlap / self.mean.to(overlap.dtype).clamp(min=torch.finfo(overlap.dtype).eps)
        return loss * (beta * torch.exp((delta - beta) * math.log(alpha)) / delta)
