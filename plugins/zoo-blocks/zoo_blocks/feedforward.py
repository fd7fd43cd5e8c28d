"""Position-wise feed-forward layers."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from zoo.models.contracts import Feedforward
from zoo_blocks.options import GluOptions, MlpOptions, SwigluOptions


def _projection(width_in: int, width_out: int, bias: bool) -> nn.Linear:
    """Initialised as the attention projections are: Xavier uniform, biases 0."""
    linear = nn.Linear(width_in, width_out, bias=bias)
    nn.init.xavier_uniform_(linear.weight)
    if bias:
        nn.init.zeros_(linear.bias)
    return linear


class Mlp(Feedforward):
    """``W2 act(W1 x + b1) + b2`` (Vaswani et al. 2017, section 3.3)."""

    def __init__(self, options: MlpOptions, width: int) -> None:
        super().__init__(options, width)
        hidden = options.width or 4 * width
        self.up = _projection(width, hidden, options.bias)
        self.activation = options.activation.create()
        self.dropout = nn.Dropout(options.dropout)
        self.down = _projection(hidden, width, options.bias)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.activation(self.up(x))  # [B, L, hidden]
        output: Tensor = self.down(self.dropout(hidden))  # [B, L, D]
        return output


class _Gated(Feedforward):
    """``W2 (act(W x) * V x)``."""

    def __init__(
        self,
        options: GluOptions | SwigluOptions,
        width: int,
        activation: Callable[[Tensor], Tensor],
        dropout: float = 0.0,
    ) -> None:
        super().__init__(options, width)
        hidden = options.width or -(-8 * width // 3)
        self.gate = _projection(width, hidden, options.bias)
        self.up = _projection(width, hidden, options.bias)
        self.activation = activation
        self.dropout = nn.Dropout(dropout)
        self.down = _projection(hidden, width, options.bias)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.activation(self.gate(x)) * self.up(x)  # [B, L, hidden]
        output: Tensor = self.down(self.dropout(hidden))  # [B, L, D]
        return output


class Swiglu(_Gated):
    """``W2 (silu(W x) * V x)`` (Shazeer 2020, equation 6)."""

    def __init__(self, options: SwigluOptions, width: int) -> None:
        super().__init__(options, width, F.silu)


class Glu(_Gated):
    """``W2 (act(W x) * V x)``: GLU and its variants by their activation (Shazeer 2020, equations 4 to 6)."""

    def __init__(self, options: GluOptions, width: int) -> None:
        super().__init__(options, width, options.activation.create(), options.dropout)
