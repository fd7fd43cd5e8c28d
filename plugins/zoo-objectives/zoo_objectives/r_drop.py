"""R-Drop: two dropout masks are to give one distribution."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.errors import InputError
from zoo.training.contracts import LossContext
from zoo_objectives.options import RDropOptions
from zoo_objectives.wrapping import Wrapping


def symmetric_divergence(first: Tensor, second: Tensor) -> Tensor:
    """``KL(p||q) + KL(q||p)`` in nats of two sets of logits ``[M, V]`` -> ``[M]``, float32.

    Both are ``sum (p - q) (log p - log q)`` together. Classes that both mask (-inf) add nothing.
    """
    log_p, log_q = first.float().log_softmax(-1), second.float().log_softmax(-1)  # [M, V] each
    masked = torch.isneginf(log_p) & torch.isneginf(log_q)
    difference = (log_p - log_q).masked_fill(masked, 0.0)  # [M, V]
    return ((log_p.exp() - log_q.exp()) * difference).sum(-1)  # [M]


class RDrop(Wrapping):
    """Liang et al. 2021 (arXiv:2106.14448): the same batch twice, and how far the two are apart.

    Half of the paper's equation 4, which adds the losses of both passes, so that the loss is on the scale of `of`:
    ``(l_1 + l_2) / 2 + alpha / 4 (KL(p_1 || p_2) + KL(p_2 || p_1))``; `alpha` is the paper's. A micro-batch needs the
    memory and the time of two. Without dropout the passes are equal, and all this is `of`.
    """

    options: RDropOptions

    def __init__(self, options: RDropOptions) -> None:
        super().__init__(options)
        if self.passes != 1:
            raise InputError(
                f"the objective '{options.of.id}' compares {self.passes} passes itself: 'r-drop' takes a loss of one"
            )
        self.passes = 2

    def forward(self, logits: Tensor, targets: Tensor, context: LossContext) -> Tensor:
        first, second = logits.unbind()  # [M, V] each
        mean = (self.of(first, targets, context) + self.of(second, targets, context)) / 2  # [M]
        return mean + self.options.alpha / 4 * symmetric_divergence(first, second)  # type: ignore[no-any-return]
