"""Error norm truncation: tokens that the model is sure are wrong do not count."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo.training.contracts import LossContext
from zoo_objectives.options import EntOptions
from zoo_objectives.wrapping import Wrapping


@torch.no_grad()
def error_norms(scores: Tensor, targets: Tensor, *, log_probabilities: bool) -> Tensor:
    """``||p - onehot(target)||_2``, float32: scores ``[M, V]``, targets ``[M]`` -> ``[M]``, from 0 to the root of 2.

    0: the target was certain; about 1: nothing was; root of 2: another token was.
    """
    p = scores.float().exp() if log_probabilities else scores.float().softmax(-1)  # [M, V]
    p = p.scatter_add(-1, targets[:, None], p.new_full((len(targets), 1), -1.0))  # [M, V]
    return torch.linalg.vector_norm(p, dim=-1)  # [M]


class Ent(Wrapping):
    """Li et al. 2024 (arXiv:2310.00840): tokens of large error norm are taken for noise, and their loss is 0.

    Unlike the loss, the norm tells a token that was unlikely among many from one in whose place the model was sure of
    another. Tokens go by a threshold, or a fraction of each micro-batch goes; padding is in neither. The norm has no
    gradient. Dropped tokens still count where the host takes the mean, so that what is kept weighs no more.
    """

    options: EntOptions

    def __init__(self, options: EntOptions) -> None:
        super().__init__(options)
        self.takes_log_probabilities = self.of.takes_log_probabilities
        self.row_wise = self.row_wise and options.fraction is None

    def forward(self, logits: Tensor, targets: Tensor, context: LossContext) -> Tensor:
        losses: Tensor = self.of(logits, targets, context)  # [M]
        if context.step < self.options.start:
            return losses
        taken = context.log_probabilities
        norms = self.over_passes(logits.detach(), lambda one: error_norms(one, targets, log_probabilities=taken))
        return losses.masked_fill(self._dropped(norms), 0.0)  # [M]

    def _dropped(self, norms: Tensor) -> Tensor:
        """Which tokens do not count: norms ``[M]`` -> bool ``[M]``."""
        if self.options.threshold is not None:
            return norms > self.options.threshold
        assert self.options.fraction is not None  # the options have seen to it
        # Beside the rounding of the product: .29 of 100 are 29.
        kept = len(norms) - math.floor(self.options.fraction * len(norms) + 1e-9)
        if kept == len(norms):
            return torch.zeros_like(norms, dtype=torch.bool)
        # Of tokens that tie at the border none goes.
        return norms > norms.kthvalue(kept).values
