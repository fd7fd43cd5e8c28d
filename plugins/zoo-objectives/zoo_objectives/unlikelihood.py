"""Unlikelihood: what has been said before is to be unlikely."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo.training.contracts import LossContext
from zoo_objectives.options import UnlikelihoodOptions
from zoo_objectives.wrapping import Wrapping


def earlier_targets(targets: Tensor, examples: Tensor, vocabulary: int) -> tuple[Tensor, Tensor]:
    """For each token, the targets of its text, and which of them stood before it, were other than it, and first so.

    Targets ``[M]`` below `vocabulary`, examples ``[M]`` as in `LossContext` -> tokens ``[M, T]`` and bool ``[M, T]``,
    T being the length of the longest text.
    """
    _, text, lengths = torch.unique_consecutive(examples, return_inverse=True, return_counts=True)  # [M], [N]
    starts = lengths.cumsum(0) - lengths  # [N]
    place = torch.arange(len(targets), device=targets.device) - starts[text]  # [M]
    _, kind = (text * vocabulary + targets).unique(return_inverse=True)  # [M], equal tokens of one text
    earliest = torch.full_like(place, len(targets)).scatter_reduce(0, kind, place, "amin")  # [M], by kind
    longest = int(lengths.max())
    tokens = targets.new_zeros(len(lengths), longest)  # [N, T]
    tokens[text, place] = targets
    first = torch.zeros_like(tokens, dtype=torch.bool)  # [N, T]
    first[text, place] = earliest[kind] == place
    before = torch.arange(longest, device=targets.device) < place[:, None]  # [M, T]
    return tokens[text], first[text] & before & (tokens[text] != targets[:, None])  # [M, T] each


def log_of_the_rest(logits: Tensor, tokens: Tensor) -> Tensor:
    """``log(1 - p)`` of some `tokens` ``[M, T]`` under logits ``[M, V]`` -> ``[M, T]``, float32.

    Exact, with its gradient, even where p is one to the last bit: what the likeliest token leaves is added up from
    the others' logits, and 1 - p can be taken for all others, as none has more than a half.
    """
    scores = logits.float()  # [M, V]
    log_z = scores.logsumexp(-1, keepdim=True)  # [M, 1]
    top = scores.argmax(-1, keepdim=True)  # [M, 1]
    rest = scores.scatter(-1, top, -math.inf).logsumexp(-1, keepdim=True) - log_z  # [M, 1]
    is_top = tokens == top  # [M, T]
    # In the place of the top's own p, 1/e: of what is not chosen the gradient must be finite too.
    log_p = (scores.gather(-1, tokens) - log_z).masked_fill(is_top, -1.0)  # [M, T]
    return torch.where(is_top, rest, torch.log1p(-log_p.exp()))


class Unlikelihood(Wrapping):
    """Welleck et al. 2020 (arXiv:1908.04319), section 5.1, token level: adds ``-alpha sum_c log(1 - p(c))``.

    c runs over the tokens of the target that stood before the present one, each once, and not the present one itself.
    Texts of a packed row are told apart, and a source that is learned too is a text of its own.
    """

    options: UnlikelihoodOptions

    def __init__(self, options: UnlikelihoodOptions) -> None:
        super().__init__(options)
        self.row_wise = False

    def forward(self, logits: Tensor, targets: Tensor, context: LossContext) -> Tensor:
        if context.examples is None:
            raise ValueError("unlikelihood needs context.examples: which text each token belongs to")
        losses: Tensor = self.of(logits, targets, context)  # [M]
        if not len(targets):
            return losses
        tokens, unwanted = earlier_targets(targets, context.examples, logits.shape[-1])  # [M, T] each

        def penalty(one: Tensor) -> Tensor:
            return -log_of_the_rest(one, tokens).masked_fill(~unwanted, 0.0).sum(-1)  # [M]

        return losses + self.options.alpha * self.over_passes(logits, penalty)  # [M]
