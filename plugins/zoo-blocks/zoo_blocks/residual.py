"""Where residual connections and normalisations stand."""

from __future__ import annotations

from torch import Tensor, nn

from zoo.models.contracts import Block, BlockContext, Sublayer
from zoo.spec.options import Options
from zoo_blocks.depth import deep_norm_alpha


class _Residual(Block):
    """One normalisation a sublayer, and dropout on each sublayer's output."""

    def __init__(self, options: Options, context: BlockContext) -> None:
        super().__init__(options, context)
        self.norms = nn.ModuleList(context.make_norm() for _ in range(context.sublayers))
        self.dropout = nn.Dropout(context.dropout)


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


class BottomToTop(_Residual):
    """Post-norm, with the layer's input added once more before its last normalisation.

    ``norm(x0 + x + dropout(FFN(x)))``, where x0 enters the layer and x its feed-forward sublayer (Takase et al. 2023,
    section 4). The gradient then passes one normalisation a layer instead of one a sublayer.
    """

    def forward(self, x: Tensor, sublayers: tuple[Sublayer, ...]) -> Tensor:
        bottom, last = x, len(self.norms) - 1
        for index, (norm, sublayer) in enumerate(zip(self.norms, sublayers, strict=True)):
            x = x + self.dropout(sublayer(x))
            x = norm(bottom + x if index == last else x)
        return x


class Sandwich(_Residual):
    """``x + norm(dropout(f(norm(x))))`` (Ding et al. 2021, section 2.4): what a sublayer adds is normalised too."""

    final_norm = True

    def __init__(self, options: Options, context: BlockContext) -> None:
        super().__init__(options, context)
        self.branch_norms = nn.ModuleList(context.make_norm() for _ in range(context.sublayers))

    def forward(self, x: Tensor, sublayers: tuple[Sublayer, ...]) -> Tensor:
        for norm, branch_norm, sublayer in zip(self.norms, self.branch_norms, sublayers, strict=True):
            x = x + branch_norm(self.dropout(sublayer(norm(x))))
        return x


class DeepNorm(_Residual):
    """``norm(alpha x + dropout(f(x)))`` with alpha by depth (Wang et al. 2022, figure 2).

    The paper's initialisation goes with it: ``initialization: deep-norm``.
    """

    def __init__(self, options: Options, context: BlockContext) -> None:
        super().__init__(options, context)
        self.alpha = deep_norm_alpha(context)

    def forward(self, x: Tensor, sublayers: tuple[Sublayer, ...]) -> Tensor:
        for norm, sublayer in zip(self.norms, sublayers, strict=True):
            x = norm(self.alpha * x + self.dropout(sublayer(x)))
        return x
