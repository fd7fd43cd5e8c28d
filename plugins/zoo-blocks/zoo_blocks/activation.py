"""Element-wise non-linearities."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from zoo.models.contracts import Activation
from zoo_blocks.options import GeluOptions, LeakyReluOptions


class Relu(Activation):
    """``max(x, 0)``."""

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x)


class LeakyRelu(Activation):
    """``max(x, 0) + slope * min(x, 0)`` (Xu et al. 2015, section 2.2)."""

    def __init__(self, options: LeakyReluOptions) -> None:
        super().__init__(options)
        self.slope = options.slope

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x, self.slope)


class Gelu(Activation):
    """``x Phi(x)``, or ``x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))`` (Hendrycks and Gimpel 2016, section 2)."""

    def __init__(self, options: GeluOptions) -> None:
        super().__init__(options)
        self.approximate = "none" if options.form == "exact" else "tanh"

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(x, approximate=self.approximate)


class Silu(Activation):
    """``x sigmoid(x)`` (Elfwing et al. 2017, equation 4)."""

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(x)


class Sigmoid(Activation):
    """``1 / (1 + exp(-x))``, the gate of a GLU (Dauphin et al. 2016, equation 1)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sigmoid()


class Identity(Activation):
    """``x``: the gate of the bilinear layer (Shazeer 2020, equation 4)."""

    def forward(self, x: Tensor) -> Tensor:
        return x
