"""EIoU and SIoU: penalties of each side and direction apart."""

from __future__ import annotations

from torch import Tensor, maximum

from zoo.models.boxes.contracts import BoxLoss
from zoo_iou_losses.geometry import Pair
from zoo_iou_losses.options import SIoUOptions


class EIoU(BoxLoss):
    """``1 - IoU + rho^2(b, bg) / c^2 + rho^2(w, wg) / Cw^2 + rho^2(h, hg) / Ch^2``."""

    bounds = (0.0, 4.0)

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        pair = Pair(predicted, target)
        width, height = pair.hull()
        sides = pair.over(pair.pw - pair.tw, width).square() + pair.over(pair.ph - pair.th, height).square()
        return 1 - pair.iou() + pair.spread() + sides


class SIoU(BoxLoss):
    """``1 - IoU + (Delta + Omega) / 2``: distance, weighed by its direction, and shape.

    The angle cost ``Lambda = 1 - 2 sin^2(arcsin x - pi / 4)`` is ``sin(2 a)`` of the angle a between the line of the
    centres and either axis, that is ``2 |dx dy| / (dx^2 + dy^2)``: no arc sine, whose derivative has a pole, is needed.
    ``Delta`` sums ``1 - exp(-(2 - Lambda) (d_t / c_t)^2)`` over both axes, ``Omega`` ``(1 - exp(-omega_t))^theta``
    with ``omega_w = |w - wg| / max(w, wg)``.
    """

    bounds = (0.0, 3.0)

    options: SIoUOptions

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        pair = Pair(predicted, target)
        width, height = pair.hull()
        x, y = pair.offset()
        gamma = 2 - self._angle_cost(pair, x, y)
        distance = _rise(gamma * pair.over(x, width).square()) + _rise(gamma * pair.over(y, height).square())
        shape = _rise(pair.over((pair.pw - pair.tw).abs(), maximum(pair.pw, pair.tw))) ** self.options.theta
        shape = shape + _rise(pair.over((pair.ph - pair.th).abs(), maximum(pair.ph, pair.th))) ** self.options.theta
        return 1 - pair.iou() + (distance + shape) / 2

    @staticmethod
    def _angle_cost(pair: Pair, x: Tensor, y: Tensor) -> Tensor:
        longer = maximum(x.abs(), y.abs()).detach()
        together, longer = longer < pair.eps, longer.clamp(min=pair.eps)
        # In units of the longer offset; where the centres meet there is no direction.
        x, y = (x.abs() / longer).masked_fill(together, 1.0), (y.abs() / longer).masked_fill(together, 0.0)
        return 2 * x * y / (x * x + y * y)


def _rise(cost: Tensor) -> Tensor:
    """``1 - exp(-cost)``"""
    return -(-cost).expm1()
