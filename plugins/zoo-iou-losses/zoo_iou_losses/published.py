"""The gradients that the authors of DIoU and CIoU published as code, beside the values that the papers define.

Their detector (Zzh-tju/DIoU-darknet) and their simulation (Zzh-tju/DIoU) both step by gradients written by hand, of a
box as centre and size. They are not the derivatives of the losses. With ``F`` a loss, ``d/dw`` its derivative by the
width at a fixed centre, and everything below alike for height and y:

1. The overlap's part, of IoU and GIoU too, is ``2 dF/dw``: edges' derivatives are subtracted and not halved.
2. The penalty's ``rho^2 / c^2`` has, by x, the wrong sign before the derivative of the hull: the step goes by
   ``-(d rho^2 / dx) / c^2 + rho^2 d(1 / c^2) / dx`` where descent has a minus in the middle. By w it is the derivative.
3. CIoU's aspect part is multiplied by ``w^2 + h^2`` (which the paper says), so that it depends
   on the unit of the boxes; they are shares of the image there.
4. GIoU's union of boxes that do not touch subtracts the product of both gaps, or minus it where they overlap in one
   direction: the sides of the intersection are not clamped.
5. In the simulation alone, the hull's width and height are both taken to change with x, y, w and h alike; and where the
   predicted box sticks out of the target on both sides, the hull is taken to shrink with it, ``dCw/dw = -1``.

Derived here from that description, in units of the pair; the code was read for comparison.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zoo.models.boxes.contracts import BoxLoss
from zoo_iou_losses.geometry import Pair, widened
from zoo_iou_losses.options import PublishedOptions
from zoo_iou_losses.overlap import trade_off

Step = tuple[Tensor, Tensor, Tensor, Tensor]
"""By how much x, y, w and h are to change, each ``[...]``: the negative gradient."""


class _Edges:
    """Which edges of the predicted box lie outside the target, as 0 or 1, and the sides they meet in."""

    def __init__(self, pair: Pair) -> None:
        kind = pair.px1.dtype
        self.left, self.right = (pair.px1 < pair.tx1).to(kind), (pair.px2 > pair.tx2).to(kind)
        self.top, self.bottom = (pair.py1 < pair.ty1).to(kind), (pair.py2 > pair.ty2).to(kind)
        self.inside_left, self.inside_right = (pair.px1 > pair.tx1).to(kind), (pair.px2 < pair.tx2).to(kind)
        self.inside_top, self.inside_bottom = (pair.py1 > pair.ty1).to(kind), (pair.py2 < pair.ty2).to(kind)
        self.width = torch.minimum(pair.px2, pair.tx2) - torch.maximum(pair.px1, pair.tx1)
        self.height = torch.minimum(pair.py2, pair.ty2) - torch.maximum(pair.py1, pair.ty1)


def _by_centre(left: Tensor, top: Tensor, right: Tensor, bottom: Tensor) -> Step:
    """Steps of the edges as those of centre and size; the size's are not halved (1)."""
    return left + right, top + bottom, right - left, bottom - top


def _intersection_slopes(edges: _Edges) -> Step:
    """How the unclamped intersection changes with left, top, right and bottom edge."""
    return (
        -edges.height * edges.inside_left,
        -edges.width * edges.inside_top,
        edges.height * edges.inside_right,
        edges.width * edges.inside_bottom,
    )


def _areas(pair: Pair, edges: _Edges) -> tuple[Tensor, Tensor, Step, Step]:
    """Intersection and union without a clamp, and how each changes with the four edges."""
    intersection = edges.width * edges.height
    union = pair.pw * pair.ph + pair.tw * pair.th - intersection
    slopes = _intersection_slopes(edges)
    own = (-pair.ph, -pair.pw, pair.ph, pair.pw)
    left, top, right, bottom = (area - slope for area, slope in zip(own, slopes, strict=True))
    return intersection, union, slopes, (left, top, right, bottom)


def _quotient(pair: Pair, upper: Tensor, lower: Tensor, upper_slopes: Step, lower_slopes: Step) -> Step:
    """How ``upper / lower`` changes with the four edges."""
    lower = lower.clamp(min=pair.eps)
    ratio = upper / lower
    left, top, right, bottom = (
        (rise - ratio * fall) / lower for rise, fall in zip(upper_slopes, lower_slopes, strict=True)
    )
    return left, top, right, bottom


def iou_step(pair: Pair) -> Step:
    """The step of the overlap; none where the boxes do not touch."""
    edges = _Edges(pair)
    intersection, union, rising, growing = _areas(pair, edges)
    touch = ((edges.width > 0) & (edges.height > 0)).to(union.dtype)
    x, y, w, h = _by_centre(*_quotient(pair, intersection, union, rising, growing))
    return touch * x, touch * y, touch * w, touch * h


def giou_step(pair: Pair) -> Step:
    """The step of GIoU, with the union as it stands there (4)."""
    edges = _Edges(pair)
    _, union, _, growing = _areas(pair, edges)
    width, height = pair.hull()
    widening = (-height * edges.left, -width * edges.top, height * edges.right, width * edges.bottom)
    hull = _by_centre(*_quotient(pair, union, width * height, growing, widening))
    x, y, w, h = (a + b for a, b in zip(iou_step(pair), hull, strict=True))
    return x, y, w, h


def diou_step(pair: Pair, simulation: bool) -> Step:
    """The step of DIoU (2, 5)."""
    edges = _Edges(pair)
    width, height = pair.hull()
    along_x, along_y = edges.right - edges.left, edges.bottom - edges.top
    along_w, along_h = 0.5 * (edges.right + edges.left), 0.5 * (edges.bottom + edges.top)
    if simulation:
        widths, heights = along_w, along_h
        # An edge out on each side: the one is 1 times 1, else 0.
        widths = torch.where(edges.left * edges.right > 0, -torch.ones_like(along_w), widths)
        heights = torch.where(edges.top * edges.bottom > 0, -torch.ones_like(along_h), heights)
        by_x, by_y = (width + height) * along_x, (width + height) * along_y
        by_w, by_h = width * widths + height * along_w, width * along_h + height * heights
    else:
        by_x, by_y, by_w, by_h = width * along_x, height * along_y, width * along_w, height * along_h
    x, y = pair.offset()
    diagonal = (width * width + height * height).clamp(min=pair.eps)
    share = (x * x + y * y) / diagonal
    overlap = iou_step(pair)
    return (
        overlap[0] - 2 * (x + share * by_x) / diagonal,
        overlap[1] - 2 * (y + share * by_y) / diagonal,
        overlap[2] + 2 * share * by_w / diagonal,
        overlap[3] + 2 * share * by_h / diagonal,
    )


def _aspect_step(pair: Pair) -> tuple[Tensor, Tensor]:
    """The steps of w and h by the aspect ratio, in units of the pair (3)."""
    v = pair.aspect()
    # v = 4 / pi^2 d^2, so that 8 / pi^2 |d| is 4 / pi sqrt(v); d > 0 where the target is the wider one.
    size = (4 / torch.pi) * v.sqrt() * torch.sign(pair.tw * pair.ph - pair.pw * pair.th)
    size = size * trade_off(pair, pair.iou(), v)
    return size * pair.ph, -size * pair.pw


class _AsPublished(torch.autograd.Function):
    """The values as they are, the gradient as given."""

    @staticmethod
    def forward(predicted: Tensor, values: Tensor, gradient: Tensor) -> Tensor:
        return values.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(inputs[2])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * gradients[0][..., None], None, None


class Published(BoxLoss):
    """A loss whose value is the paper's and whose gradient is the authors' code's. The target gets none."""

    exact_gradient = False
    aspect_weighed = False

    def value(self, pair: Pair) -> Tensor:
        """The loss of the paper."""
        raise NotImplementedError

    def step(self, pair: Pair) -> Step:
        """By how much the authors' code changes centre and size, in units of the pair but for the aspect's part."""
        raise NotImplementedError

    def gradient(self, predicted: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Losses ``[...]`` and the gradient by corners ``[..., 4]`` that, by centre and size, is the published one."""
        pair = Pair(predicted, target)
        x, y, w, h = (-change / pair.unit for change in self.step(pair))
        if self.aspect_weighed:
            by_w, by_h = _aspect_step(pair)
            w, h = w - by_w * pair.unit, h - by_h * pair.unit
        # x1 = x - w / 2 and x2 = x + w / 2: these are the corners' gradients whose sum and half difference are x and w.
        return self.value(pair), torch.stack((x / 2 - w, y / 2 - h, x / 2 + w, y / 2 + h), -1)

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        predicted, target = torch.broadcast_tensors(widened(predicted), widened(target))
        with torch.no_grad():
            values, gradient = self.gradient(predicted, target)
        return _AsPublished.apply(predicted, values, gradient)  # type: ignore[no-any-return, no-untyped-call]


class PublishedIoU(Published):
    """IoU's loss with the gradient of the authors' code of DIoU: twice the derivative by width and height."""

    bounds = (0.0, 1.0)

    def value(self, pair: Pair) -> Tensor:
        return 1 - pair.iou()

    def step(self, pair: Pair) -> Step:
        return iou_step(pair)


class PublishedGIoU(Published):
    """GIoU's loss with the gradient of the authors' code of DIoU: not halved, and with an unclamped union."""

    bounds = (0.0, 2.0)

    def value(self, pair: Pair) -> Tensor:
        return 1 - pair.iou() + pair.gap()

    def step(self, pair: Pair) -> Step:
        return giou_step(pair)


class PublishedDIoU(Published):
    """DIoU's loss with its authors' gradient."""

    bounds = (0.0, 2.0)
    options: PublishedOptions

    def value(self, pair: Pair) -> Tensor:
        return 1 - pair.iou() + pair.spread()

    def step(self, pair: Pair) -> Step:
        return diou_step(pair, self.options.source == "simulation")


class PublishedCIoU(PublishedDIoU):
    """CIoU's loss with its authors' gradient: DIoU's, and the aspect's without its divisor ``w^2 + h^2``."""

    bounds = (0.0, 3.0)
    aspect_weighed = True

    def value(self, pair: Pair) -> Tensor:
        iou, v = pair.iou(), pair.aspect()
        return 1 - iou + pair.spread() + trade_off(pair, iou, v) * v
