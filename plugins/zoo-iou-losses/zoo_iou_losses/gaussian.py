"""Boxes as normal distributions: NWD, and KFIoU of rotated boxes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo.models.boxes.contracts import BoxLoss
from zoo_iou_losses.geometry import SMALLEST, Saturating, widened
from zoo_iou_losses.options import KFIoUOptions, NwdOptions


class Nwd(BoxLoss):
    """``1 - exp(-W / C)``: W is the 2-Wasserstein distance of the normal distributions that stand for the boxes.

    A box is ``N((cx, cy), diag(w^2 / 4, h^2 / 4))``: W is the length of ``(cx, cy, w / 2, h / 2)``'s difference. An
    inverted side counts as negative, so that it gets a gradient.
    """

    bounds = (0.0, 1.0)
    scale_invariant = False
    options: NwdOptions

    def __init__(self, options: NwdOptions) -> None:
        super().__init__(options)
        self.length = options.constant

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        low, high = (widened(predicted) - widened(target)).split(2, -1)  # [..., 2] each
        difference = torch.cat((0.5 * (low + high), 0.5 * (high - low)), -1)  # [..., 4]
        unit = difference.detach().abs().amax(-1, keepdim=True).clamp(min=SMALLEST)  # [..., 1]
        distance = unit[..., 0] * torch.linalg.vector_norm(difference / unit, dim=-1)  # [...]
        return -(-distance / self.options.constant).expm1()


class KFIoU(BoxLoss):
    """The centres' loss plus that of ``KFIoU = V3 / (V1 + V2 - V3)``, of rotated boxes.

    A box is a normal distribution, ``Sigma = R diag(w^2 / 4, h^2 / 4) R^T``, of volume ``V = 4 sqrt(det Sigma) = w h``.
    The product of two has ``Sigma3 = Sigma1 (Sigma1 + Sigma2)^-1 Sigma2``, so that ``V3 = V1 V2 / sqrt(q)`` with
    ``q = V1^2 + V2^2 + (w1^2 h2^2 + h1^2 w2^2) cos^2 d + (w1^2 w2^2 + h1^2 h2^2) sin^2 d`` and d the difference of the
    angles: a sum of squares, where the determinant would be a difference. KFIoU ends at 1/3, so that a box predicted
    exactly costs 2/3 in the linear form.

    The centres' loss is smooth L1 of both offsets. The paper takes them in units of an anchor; here, where there is
    none, they are in units of the root of the target's area.
    """

    coordinates = 5
    symmetric = False
    options: KFIoUOptions

    def __init__(self, options: KFIoUOptions) -> None:
        super().__init__(options)
        self.zero_at_identity = options.rescaled and options.form != "ln"
        if options.rescaled and options.form == "ln":
            self.bounds = (-2e-6, float("inf"))  # -ln(1 + 1e-6)

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        predicted, target = widened(predicted, 5), widened(target, 5)
        dtype = torch.promote_types(predicted.dtype, target.dtype)
        eps = torch.finfo(dtype).eps
        px, py, pw, ph, pa = Saturating.apply(predicted, dtype).unbind(-1)  # type: ignore[no-untyped-call]
        tx, ty, tw, th, ta = Saturating.apply(target, dtype).unbind(-1)  # type: ignore[no-untyped-call]
        x, y, pw, ph, tw, th = px - tx, py - ty, *(side.clamp(min=0) for side in (pw, ph, tw, th))
        unit = (x.abs() + y.abs() + pw + ph + tw + th).detach().clamp(min=SMALLEST)
        x, y, pw, ph, tw, th = (length / unit for length in (x, y, pw, ph, tw, th))

        volume1, volume2 = pw * ph, tw * th
        cosine, sine = torch.cos(pa - ta).square(), torch.sin(pa - ta).square()
        along, across = (pw * th).square() + (ph * tw).square(), (pw * tw).square() + (ph * th).square()
        q = volume1.square() + volume2.square() + along * cosine + across * sine
        volume3 = volume1 * volume2 / q.clamp(min=eps**2).sqrt()
        share = volume3 / (volume1 + volume2 - volume3).clamp(min=eps)
        return self._centres(x, y, volume2.detach().clamp(min=eps**2).sqrt()) + self._overlap(share)

    def _centres(self, x: Tensor, y: Tensor, size: Tensor) -> Tensor:
        offsets = torch.stack((x / size, y / size), -1)  # [..., 2]
        nothing = torch.zeros_like(offsets)
        return F.smooth_l1_loss(offsets, nothing, reduction="none", beta=self.options.beta).sum(-1)  # [...]

    def _overlap(self, share: Tensor) -> Tensor:
        share = 3 * share if self.options.rescaled else share
        if self.options.form == "ln":
            return -torch.log(share + 1e-6)
        return torch.expm1(1 - share) if self.options.form == "exp" else 1 - share
