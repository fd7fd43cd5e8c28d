"""Update clipping by the root mean square of the gradient in units of its own second moment."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.training.contracts import UpdateClipping
from zoo_optimizers.clipping_options import RmsUpdateClippingOptions


class RmsUpdateClipping(UpdateClipping):
    """Wortsman et al. 2023 (arXiv:2304.13013), algorithm 2, which makes StableAdamW of AdamW.

    ``RMS_t = sqrt(mean(g^2 / max(v_t, eps^2)))`` over a tensor, with v_t that has this step's gradient in it, and the
    learning rate divided by ``max(1, RMS_t / d)``; d is Adafactor's (Shazeer & Stern 2018, section 6), 1 in the paper.
    """

    options: RmsUpdateClippingOptions

    def scale(self, gradient: Tensor, second_moment: Tensor, eps: float) -> Tensor:
        least = max(eps**2, torch.finfo(second_moment.dtype).tiny)
        rms = (gradient.square() / second_moment.clamp(min=least)).mean().sqrt()  # []
        return (self.options.threshold / rms).clamp(max=1)  # a gradient of 0 has the scale 1
