"""Cross-entropy."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from zoo.training.contracts import LossContext, TokenLoss


class CrossEntropy(TokenLoss):
    """``-log p(target)``, computed in float32 whatever the logits' type."""

    def forward(self, logits: Tensor, targets: Tensor, context: LossContext) -> Tensor:
        return F.cross_entropy(logits.float(), targets, reduction="none")  # [M]
