"""Label smoothing that stays finite."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn import functional as F

from zoo.training.contracts import LossContext, TokenLoss
from zoo_objectives.options import LabelSmoothingOptions


class LabelSmoothing(TokenLoss):
    """Szegedy et al. 2016 (arXiv:1512.00567), section 7: cross-entropy against ``q = (1 - eps) onehot + eps / V``.

    The sum over the vocabulary is what breaks in practice: in float16 it overflows for a large V, and one logit
    masked with -inf makes it infinite. So it is taken in float32, and the smoothing mass goes to the V' classes that
    are not masked: ``q = (1 - eps) onehot + eps / V'`` on these, 0 on the masked. (A masked *target* has probability
    0, and its loss is rightly infinite.)
    """

    options: LabelSmoothingOptions
    takes_log_probabilities = True

    def forward(self, logits: Tensor, targets: Tensor, context: LossContext) -> Tensor:
        logits = logits.float()  # [M, V]
        if context.log_probabilities:
            return self._with_masked_classes(logits, targets, logits.new_zeros(()))
        if bool((logits.detach().amin(-1) == -math.inf).any()):
            return self._with_masked_classes(logits, targets, logits.logsumexp(-1))
        # torch's kernel takes a quarter of the time of the general formula, and nothing is masked in most models.
        return F.cross_entropy(logits, targets, label_smoothing=self.options.epsilon, reduction="none")  # [M]

    def _with_masked_classes(self, logits: Tensor, targets: Tensor, log_z: Tensor) -> Tensor:
        """`log_z` is the logarithm of the normaliser: ``[M]``, or 0 where the scores are log-probabilities."""
        epsilon = self.options.epsilon
        target = logits.gather(-1, targets[:, None]).squeeze(-1)  # [M]
        masked = logits == -math.inf  # [M, V]
        classes = masked.logical_not().sum(-1)  # [M]
        mean = logits.masked_fill(masked, 0.0).sum(-1) / classes  # [M]
        return log_z - (1 - epsilon) * target - epsilon * mean  # [M]
