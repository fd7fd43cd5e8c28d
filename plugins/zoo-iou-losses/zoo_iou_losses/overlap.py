"""IoU, GIoU, DIoU and CIoU: one minus the overlap, plus what says how boxes apart should come together."""

from __future__ import annotations

from torch import Tensor

from zoo.models.boxes.contracts import BoxLoss
from zoo_iou_losses.geometry import Pair
from zoo_iou_losses.options import CIoUOptions


class IoU(BoxLoss):
    """``1 - IoU`` (UnitBox has its logarithm). Boxes apart cost 1 and get no gradient."""

    bounds = (0.0, 1.0)

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        return 1 - Pair(predicted, target).iou()


class GIoU(BoxLoss):
    """``1 - IoU + (|C| - U) / |C|`` with the hull C."""

    bounds = (0.0, 2.0)

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        pair = Pair(predicted, target)
        return 1 - pair.iou() + pair.gap()


class DIoU(BoxLoss):
    """``1 - IoU + rho^2 / c^2``: the centres' distance over the hull's diagonal c."""

    bounds = (0.0, 2.0)

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        pair = Pair(predicted, target)
        return 1 - pair.iou() + pair.spread()


class CIoU(BoxLoss):
    """``1 - IoU + rho^2 / c^2 + alpha v``.

    ``alpha = v / (1 - IoU + v)`` is a weight: no gradient goes through it, as in the authors' code. Through v it goes.
    """

    bounds = (0.0, 3.0)
    exact_gradient = False
    options: CIoUOptions

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        pair = Pair(predicted, target)
        iou, v = pair.iou(), pair.aspect()
        return 1 - iou + pair.spread() + trade_off(pair, iou, v, self.options.minimum_iou) * v


def trade_off(pair: Pair, iou: Tensor, v: Tensor, minimum_iou: float = 0.0) -> Tensor:
    """``alpha = v / (1 - IoU + v)``, detached; 0 where the overlap is below `minimum_iou`."""
    alpha = pair.over(v, 1 - iou + v).detach()
    return alpha.masked_fill(iou.detach() < minimum_iou, 0.0) if minimum_iou else alpha
