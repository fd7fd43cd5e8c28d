"""How the weight matrices of the layers start."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from zoo.models.contracts import Initialization, InitializationContext, Matrix
from zoo_blocks.depth import deep_norm_beta
from zoo_blocks.options import (
    DeepNormInitializationOptions,
    DepthScaledOptions,
    NormalOptions,
    XavierOptions,
)


def _xavier(weight: Tensor, gain: float, distribution: Literal["uniform", "normal"]) -> None:
    draw = nn.init.xavier_uniform_ if distribution == "uniform" else nn.init.xavier_normal_
    draw(weight, gain=gain)


class Xavier(Initialization):
    """Variance ``gain^2 2 / (in + out)`` (Glorot and Bengio 2010, equations 12 and 16)."""

    def __init__(self, options: XavierOptions) -> None:
        super().__init__(options)
        self.gain, self.distribution = options.gain, options.distribution

    def initialize(self, matrix: Matrix, context: InitializationContext) -> None:
        _xavier(matrix.weight, self.gain, self.distribution)


class Normal(Initialization):
    """``N(0, std^2)`` for every matrix, whatever its shape (Devlin et al. 2019's code and GPT-2's: 0.02)."""

    def __init__(self, options: NormalOptions) -> None:
        super().__init__(options)
        self.std = options.std

    def initialize(self, matrix: Matrix, context: InitializationContext) -> None:
        nn.init.normal_(matrix.weight, std=self.std)


class Small(Initialization):
    """``N(0, 2 / (D + 4 D))`` for every matrix: SmallInit (Nguyen and Salazar 2019, section 2.2).

    It is what Xavier gives a feed-forward matrix of width 4 D, given to the attention's matrices as well.
    """

    def initialize(self, matrix: Matrix, context: InitializationContext) -> None:
        nn.init.normal_(matrix.weight, std=(2 / (5 * context.d_model)) ** 0.5)


class DeepNormInitialization(Initialization):
    """Xavier with gain beta on value, output and feed-forward matrices, and gain 1 on query and key.

    Beta by depth (Wang et al. 2022, figure 2); it goes with ``block: deep-norm``.
    """

    def __init__(self, options: DeepNormInitializationOptions) -> None:
        super().__init__(options)
        self.distribution = options.distribution

    def initialize(self, matrix: Matrix, context: InitializationContext) -> None:
        gain = 1.0 if matrix.role in {"query", "key"} else deep_norm_beta(context)
        _xavier(matrix.weight, gain, self.distribution)


class DepthScaled(Initialization):
    """Every matrix times ``L^(-1/2)``, L the layers of its stack.

    The scale that the code of Takase et al. 2023 gives to its B2T layers; the paper's block is `b2t`, without it.
    """

    def __init__(self, options: DepthScaledOptions) -> None:
        super().__init__(options)
        self.of: Initialization | None = None if options.of is None else options.of.create()

    def initialize(self, matrix: Matrix, context: InitializationContext) -> None:
        if self.of is not None:
            self.of.initialize(matrix, context)
        with torch.no_grad():
            matrix.weight.mul_(context.layers**-0.5)
