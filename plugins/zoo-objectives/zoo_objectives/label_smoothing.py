"""Label smoothing that stays finite."""

from __future__ import annotations

import math
import warnings

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo.training.contracts import LossContext, TokenLoss
from zoo_objectives.options import LabelSmoothingOptions


class LabelSmoothing(TokenLoss):
    """Szegedy et al. 2016 (arXiv:1512.00567), section 7: cross-entropy against ``q = (1 - eps) onehot + eps / V``.

    The sum over the vocabulary is what breaks in practice: in float16 it overflows for a large V, and one logit
    masked with -inf makes it infinite. So it is taken in float32, and the smoothing mass goes to the V' classes that
    are not masked: ``q = (1 - eps) onehot + eps / V'`` on these, 0 on the masked. (A masked *target* has probability
    0, and its loss is rightly infinite.) Where the textbook's form would have been infinite, a warning says so, once.
    """

    options: LabelSmoothingOptions
    takes_log_probabilities = True

    def __init__(self, options: LabelSmoothingOptions) -> None:
        super().__init__(options)
        self._warned = options.epsilon == 0  # without smoothing there is no such sum

    def forward(self, logits: Tensor, targets: Tensor, context: LossContext) -> Tensor:
        scores = logits.float()  # [M, V]
        if context.log_probabilities:
            return self._with_masked_classes(scores, targets, scores.new_zeros(()))
        if bool((scores.detach().amin(-1) == -math.inf).any()):
            return self._with_masked_classes(scores, targets, scores.logsumexp(-1))
        if logits.dtype is torch.float16 and not self._warned:
            self._warn_of_overflow(scores.detach())
        # torch's kernel takes a quarter of the time of the general formula, and nothing is masked in most models.
        return F.cross_entropy(scores, targets, label_smoothing=self.options.epsilon, reduction="none")  # [M]

    def _with_masked_classes(self, scores: Tensor, targets: Tensor, log_z: Tensor) -> Tensor:
        """`log_z` is the logarithm of the normaliser: ``[M]``, or 0 where the scores are log-probabilities."""
        epsilon = self.options.epsilon
        target = scores.gather(-1, targets[:, None]).squeeze(-1)  # [M]
        masked = scores == -math.inf  # [M, V]
        if not self._warned and bool(masked.any()):
            self._warn("with a masked class (logit -inf)", "masked classes get no mass")
        classes = masked.logical_not().sum(-1)  # [M]
        mean = scores.masked_fill(masked, 0.0).sum(-1) / classes  # [M]
        return log_z - (1 - epsilon) * target - epsilon * mean  # [M]

    def _warn_of_overflow(self, scores: Tensor) -> None:
        """Scores ``[M, V]``, in float32, of logits that came in float16."""
        classes = scores.shape[-1]
        sums = classes * scores.logsumexp(-1) - scores.sum(-1)  # [M], of -log p over the vocabulary
        if bool((sums > torch.finfo(torch.float16).max).any()):
            self._warn(f"in float16 over {classes} classes", "the sum is taken in float32")

    def _warn(self, where: str, done: str) -> None:
        self._warned = True
        warnings.warn(
            f"label-smoothing: {where} the textbook's sum over the vocabulary is infinite; here {done}", stacklevel=2
        )
