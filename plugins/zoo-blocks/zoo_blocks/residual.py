"""Where residual connections and normalisations stand."""

from __future__ import annotations

from torch import Tensor, nn

from zoo.models.contracts import Block, MakeNorm, Sublayer
from zoo.spec.options import Options


class _Residual(Block):
    """One normalisation a sublayer, and dropout on each sublayer's output."""

    def __init__(self, options: Options, sublayers: int, make_norm: MakeNorm, dropout: float) -> None:
        super().__init__(options, sublayers, make_norm, dropout)
        self.norms = nn.ModuleList(make_norm() for _ in range(sublayers))
        self.dropout = nn.Dropout(dropout)


class PreNorm(_Residual):
    """``x + dropout(f(norm(x)))`` (Xiong et al. 2020, table 1)."""

    final_norm = True

    def forward(self, x: Tensor, sublayers: tuple[Sublayer, ...]) -> Tensor:
        for norm, sublayer in zip(self.norms, sublayers, strict=True):
            x = x + self.dropout(sublayer(norm(x)))
        return x


class PostNorm(_Residual):
    """``norm(x + dropout(f(x)))`` (Vaswani et al. 2017, sections 3.1 and 5.4)."""

    def forward(self, x: Tensor, sublayers: tuple[Sublayer, ...]) -> Tensor:
        for norm, sublayer in zip(self.norms, sublayers, strict=True):
            x = norm(x + self.dropout(sublayer(x)))
        return x
