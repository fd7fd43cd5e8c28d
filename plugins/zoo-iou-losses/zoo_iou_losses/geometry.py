"""Two boxes seen from the target's corner, in units of their own size, so that no area overflows or vanishes.

Areas of boxes of 1e30 pixels are infinite in single precision, those of 1e-30 nothing. The losses built on a `Pair` do
not depend on place and scale, so neither shift nor unit needs a gradient.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

SMALLEST = 1e-30
"""The smallest unit of a pair. The gradient is that in units of the pair over the unit: it must not overflow."""


class Saturating(torch.autograd.Function):
    """Boxes in another precision; their gradient ends at the largest finite number of theirs."""

    @staticmethod
    def forward(boxes: Tensor, dtype: torch.dtype) -> Tensor:
        return boxes.to(dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.dtype = inputs[0].dtype

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        largest = torch.finfo(ctx.dtype).max
        return gradients[0].clamp(-largest, largest).to(ctx.dtype), None


def widened(boxes: Tensor, coordinates: int = 4) -> Tensor:
    """`boxes` ``[..., coordinates]`` in single precision or better. Raises ValueError where they have another width."""
    if boxes.shape[-1] != coordinates:
        raise ValueError(f"boxes {tuple(boxes.shape)}: expected {coordinates} numbers a box")
    if boxes.dtype in (torch.float16, torch.bfloat16):
        return Saturating.apply(boxes, torch.float32)  # type: ignore[no-any-return, no-untyped-call]
    return boxes if boxes.is_floating_point() else boxes.float()


class Pair:
    """Predicted and target boxes, broadcast against each other. An inverted side counts as none.

    All lengths are in units of the pair: none is longer than 2. Every tensor is ``[...]``, one number a pair.
    """

    def __init__(self, predicted: Tensor, target: Tensor) -> None:
        px1, py1, px2, py2 = widened(predicted).unbind(-1)
        tx1, ty1, tx2, ty2 = widened(target).unbind(-1)
        left, top = tx1.detach(), ty1.detach()
        px1, px2, tx1, tx2 = (x - left for x in (px1, px2, tx1, tx2))
        py1, py2, ty1, ty2 = (y - top for y in (py1, py2, ty1, ty2))
        unit = px1.detach().abs()
        for coordinate in (px2, py1, py2, tx2, ty2):
            unit = torch.maximum(unit, coordinate.detach().abs())
        self.unit = unit = unit.clamp(min=SMALLEST)
        self.eps = torch.finfo(unit.dtype).eps
        """What a divisor is not below. Boxes thinner than that, in units of the pair, are not told from lines."""
        self.px1, self.px2, self.py1, self.py2 = px1 / unit, px2 / unit, py1 / unit, py2 / unit
        self.tx1, self.tx2, self.ty1, self.ty2 = tx1 / unit, tx2 / unit, ty1 / unit, ty2 / unit
        self.pw, self.ph = (self.px2 - self.px1).clamp(min=0), (self.py2 - self.py1).clamp(min=0)
        self.tw, self.th = (self.tx2 - self.tx1).clamp(min=0), (self.ty2 - self.ty1).clamp(min=0)

    def over(self, numerator: Tensor, divisor: Tensor) -> Tensor:
        """A quotient that stays finite, with its gradient, where the divisor vanishes."""
        return numerator / divisor.clamp(min=self.eps)

    def overlap(self) -> tuple[Tensor, Tensor]:
        """Areas of intersection and union."""
        width = torch.minimum(self.px2, self.tx2) - torch.maximum(self.px1, self.tx1)
        height = torch.minimum(self.py2, self.ty2) - torch.maximum(self.py1, self.ty1)
        # Each side: two negative ones would make a positive area.
        intersection = width.clamp(min=0) * height.clamp(min=0)
        return intersection, self.pw * self.ph + self.tw * self.th - intersection

    def iou(self) -> Tensor:
        """Intersection over union; 0 where both boxes are without area."""
        return self.over(*self.overlap())

    def hull(self) -> tuple[Tensor, Tensor]:
        """Width and height of the smallest box around all corners, inverted or not."""
        width = torch.maximum(torch.maximum(self.px1, self.px2), torch.maximum(self.tx1, self.tx2))
        width = width - torch.minimum(torch.minimum(self.px1, self.px2), torch.minimum(self.tx1, self.tx2))
        height = torch.maximum(torch.maximum(self.py1, self.py2), torch.maximum(self.ty1, self.ty2))
        height = height - torch.minimum(torch.minimum(self.py1, self.py2), torch.minimum(self.ty1, self.ty2))
        return width, height

    def offset(self) -> tuple[Tensor, Tensor]:
        """From the target's centre to the predicted one's, in x and y."""
        x = (self.px1 + self.px2) - (self.tx1 + self.tx2)
        y = (self.py1 + self.py2) - (self.ty1 + self.ty2)
        return 0.5 * x, 0.5 * y

    def spread(self) -> Tensor:
        """``rho^2 / c^2``: squared distance of the centres over the hull's squared diagonal."""
        x, y = self.offset()
        width, height = self.hull()
        return self.over(x * x + y * y, width * width + height * height)

    def gap(self) -> Tensor:
        """``(|C| - U) / |C|``: the share of the hull that neither box covers."""
        _, union = self.overlap()
        width, height = self.hull()
        hull = width * height
        return self.over(hull - union, hull)

    def aspect(self) -> Tensor:
        """``v = 4 / pi^2 (arctan(wg / hg) - arctan(w / h))^2``, between 0 and 1. A point counts as square."""
        pw, ph = self._direction(self.pw, self.ph)
        tw, th = self._direction(self.tw, self.th)
        # One arctan: that of the tangent of the difference.
        difference = torch.atan(self.over(tw * ph - pw * th, pw * tw + ph * th))
        return (4 / torch.pi**2) * difference * difference

    def _direction(self, width: Tensor, height: Tensor) -> tuple[Tensor, Tensor]:
        """Both in units of the longer one, so that neither vanishes when it is squared."""
        longer = torch.maximum(width, height).detach()
        point, longer = longer < self.eps, longer.clamp(min=self.eps)
        return (width / longer).masked_fill(point, 1.0), (height / longer).masked_fill(point, 1.0)
