"""From scores over the vocabulary to the negative log-likelihood of tokens."""

from __future__ import annotations

from typing import Literal

from torch import Tensor
from torch.nn import functional as F


def negative_log_likelihood(
    scores: Tensor, targets: Tensor, *, log_probabilities: bool, reduction: Literal["none", "mean", "sum"]
) -> Tensor:
    """``-log p(target)`` in float32, in nats: scores ``[M, V]``, targets ``[M]`` (-100 = ignored).

    `scores` are logits, or log-probabilities that are taken as they are, normalised or not: a model says which
    (`ZooForConditionalGeneration.log_probabilities`).
    """
    compute = F.nll_loss if log_probabilities else F.cross_entropy
    return compute(scores.float(), targets, reduction=reduction)  # [M] or []
