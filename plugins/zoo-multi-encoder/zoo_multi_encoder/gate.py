"""Putting two representations of one place together."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Gate(nn.Module):
    """``g * a + (1 - g) * b`` with ``g = sigmoid(W [a; b] + b0)``: `shares` numbers g for each token.

    As many as there are features (Voita et al. 2018, section 3.1, second hand), or one (the code of Li et al. 2020).
    """

    def __init__(self, width: int, shares: int) -> None:
        super().__init__()
        self.linear = nn.Linear(2 * width, shares)
        nn.init.xavier_uniform_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """a and b ``[B, L, D]`` -> ``[B, L, D]``."""
        share = self.linear(torch.cat((a, b), dim=-1)).sigmoid()  # [B, L, D or 1]
        return share * a + (1 - share) * b


class Sum(nn.Module):
    """``a + b``, the control without a gate."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """a and b ``[B, L, D]`` -> ``[B, L, D]``."""
        return a + b


def combination(name: str, width: int) -> nn.Module:
    """What the option `combine` names."""
    if name == "sum":
        return Sum()
    return Gate(width, 1 if name == "scalar-gate" else width)
