"""Cross-entropy."""

from __future__ import annotations

from torch import Tensor

from zoo.models.scores import negative_log_likelihood
from zoo.training.contracts import LossContext, TokenLoss


class CrossEntropy(TokenLoss):
    """``-log p(target)``, computed in float32 whatever the logits' type."""

    takes_log_probabilities = True
    is_cross_entropy = True

    def forward(self, logits: Tensor, targets: Tensor, context: LossContext) -> Tensor:
        taken = context.log_probabilities
        return negative_log_likelihood(logits, targets, log_probabilities=taken, reduction="none")  # [M]
