"""Alpha-IoU: powers of the overlap and of a penalty."""

from __future__ import annotations

from torch import Tensor

from zoo.models.boxes.contracts import BoxLoss
from zoo_iou_losses.geometry import Pair
from zoo_iou_losses.options import AlphaIoUOptions
from zoo_iou_losses.overlap import trade_off


class AlphaIoU(BoxLoss):
    """``1 - IoU^alpha + P^alpha``, P being no penalty or that of GIoU, DIoU or CIoU.

    In CIoU's, ``rho^2 / c^2`` and ``beta v`` have the power each; beta is CIoU's alpha, a weight without gradient.
    ``rho^2 / c^2`` has its power as a whole; code that goes round with YOLOv5 has
    ``(dx^(2 alpha) + dy^(2 alpha)) / (Cw^(2 alpha) + Ch^(2 alpha))`` instead, which is the same at alpha 1.
    """

    options: AlphaIoUOptions

    def __init__(self, options: AlphaIoUOptions) -> None:
        super().__init__(options)
        self.bounds = (0.0, {"none": 1.0, "giou": 2.0, "diou": 2.0, "ciou": 3.0}[options.penalty])
        self.exact_gradient = options.penalty != "ciou"

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        alpha, penalty = self.options.alpha, self.options.penalty
        pair = Pair(predicted, target)
        iou = pair.iou()
        loss = 1 - iou**alpha
        if penalty == "giou":
            # Rounding may put a share a little below nothing, where it has no power.
            loss = loss + pair.gap().clamp(min=0) ** alpha
        if penalty in {"diou", "ciou"}:
            loss = loss + pair.spread() ** alpha
        if penalty == "ciou":
            v = pair.aspect()
            loss = loss + (trade_off(pair, iou, v) * v) ** alpha
        return loss
