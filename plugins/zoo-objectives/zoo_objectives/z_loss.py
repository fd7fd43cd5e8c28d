"""z-loss: keeps the logits' normaliser near one."""

from __future__ import annotations

from torch import Tensor

from zoo.training.contracts import LossContext
from zoo_objectives.options import ZLossOptions
from zoo_objectives.wrapping import Wrapping


class ZLoss(Wrapping):
    """Chowdhery et al. 2022 (arXiv:2204.02311), section 5: adds ``w log^2 Z``, Z being the sum of exp(logit).

    Cross-entropy is blind to a constant that is added to all logits; this is not, so that they cannot drift away to
    where bfloat16 is coarse. Masked classes (-inf) are no part of Z.
    """

    options: ZLossOptions

    def forward(self, logits: Tensor, targets: Tensor, context: LossContext) -> Tensor:
        squared = self.over_passes(logits, lambda one: one.float().logsumexp(-1).square())  # [M]
        return self.of(logits, targets, context) + self.options.weight * squared  # type: ignore[no-any-return]
