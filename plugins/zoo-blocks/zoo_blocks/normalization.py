"""Normalisations of a feature vector."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.models.contracts import Normalization
from zoo_blocks.options import LayerNormOptions, RmsNormOptions


class LayerNorm(Normalization):
    """``gain * (x - mean) / sqrt(var + eps) + shift`` (Ba et al. 2016, section 3)."""

    def __init__(self, options: LayerNormOptions, width: int) -> None:
        super().__init__(options, width)
        self.eps = options.eps
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width)) if options.bias else None

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)


class RmsNorm(Normalization):
    """``gain * x / sqrt(mean(x^2) + eps)`` (Zhang and Sennrich 2019, equation 4)."""

    def __init__(self, options: RmsNormOptions, width: int) -> None:
        super().__init__(options, width)
        self.eps = options.eps
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        # The kernel accumulates in float32; squares of half-precision features would overflow otherwise.
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)
