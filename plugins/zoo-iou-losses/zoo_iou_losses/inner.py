"""Inner-IoU: the overlap of auxiliary boxes, smaller or larger, about the same centres."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.errors import InputError
from zoo.models.boxes.contracts import BoxLoss
from zoo_iou_losses.geometry import Pair, widened
from zoo_iou_losses.options import InnerIoUOptions


class InnerIoU(BoxLoss):
    """``L_of + IoU - IoU_inner``; of IoU's own loss it is ``1 - IoU_inner``."""

    options: InnerIoUOptions

    def __init__(self, options: InnerIoUOptions) -> None:
        super().__init__(options)
        self.of: BoxLoss = options.of.create()
        if self.of.coordinates != 4:
            raise InputError(
                f"box-loss inner-iou: 'of' is '{options.of.name}', a loss of boxes of {self.of.coordinates} numbers: "
                "expected one of x1, y1, x2, y2"
            )
        low, high = self.of.bounds
        self.bounds = (low - 1, high + 1)
        self.length = self.of.length
        for claim in ("zero_at_identity", "symmetric", "scale_invariant", "translation_invariant", "exact_gradient"):
            setattr(self, claim, getattr(self.of, claim))

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        predicted, target = widened(predicted), widened(target)  # once: two gradients in half precision could overflow
        pair = Pair(predicted, target)
        return self.of(predicted, target) + pair.iou() - self._inner(pair)

    def _inner(self, pair: Pair) -> Tensor:
        ratio = self.options.ratio
        width, height = (
            # How far two spans about centres that lie `offset` apart overlap.
            torch.minimum(torch.minimum(own, other) * ratio, (own + other) * (ratio / 2) - offset.abs()).clamp(min=0)
            for own, other, offset in zip((pair.pw, pair.ph), (pair.tw, pair.th), pair.offset(), strict=True)
        )
        intersection = width * height
        return pair.over(intersection, ratio**2 * (pair.pw * pair.ph + pair.tw * pair.th) - intersection)
