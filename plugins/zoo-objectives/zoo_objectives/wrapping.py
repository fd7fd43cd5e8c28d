"""Losses that change another loss."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from zoo.training.contracts import TokenLoss
from zoo_objectives.options import WrappingOptions


class Wrapping(TokenLoss):
    """Adds to, or chooses among, the losses of `of`, whose passes and whose ties between tokens it takes over."""

    def __init__(self, options: WrappingOptions) -> None:
        super().__init__(options)
        self.of: TokenLoss = options.of.create()
        self.passes = self.of.passes
        self.row_wise = self.of.row_wise

    def over_passes(self, logits: Tensor, compute: Callable[[Tensor], Tensor]) -> Tensor:
        """What `compute` makes of logits ``[M, V]``, ``[M]``; of ``[passes, M, V]`` the mean over the passes."""
        if self.passes == 1:
            return compute(logits)
        return torch.stack([compute(one) for one in logits.unbind()]).mean(0)  # [M]
