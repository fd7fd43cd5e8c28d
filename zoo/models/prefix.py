"""Prefix language models: which tokens are the prefix, and what they see (Raffel et al. 2020, section 3.2.1)."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.models.visibility import same_segment


def prefix_of(tokens: Tensor, separator: int, segments: Tensor | None = None) -> Tensor:
    """The tokens before the first `separator`, ``[B, L]``; none where there is no separator.

    In packed rows, whose `segments` ``[B, L]`` number the examples from 1 in order, each has a prefix of its own.
    """
    separators = (tokens == separator).long()  # [B, L]
    of_row = separators.cumsum(-1)  # [B, L], separators up to and including each token
    if segments is None:
        return (of_row == 0) & (of_row[:, -1:] > 0)
    index = segments.long()
    counts = index.new_zeros(tokens.shape[0], tokens.shape[1] + 1).scatter_add_(1, index, separators)  # [B, L + 1]
    before = (counts.cumsum(-1) - counts).gather(1, index)  # [B, L], separators in earlier segments
    return (of_row - before == 0) & (counts.gather(1, index) > 0) & (segments != 0)


def prefix_visibility(seen: Tensor | None, prefix: Tensor, segments: Tensor | None = None) -> Tensor:
    """What the tokens of whole rows see of each other, ``[B, 1, L, L]``.

    `seen` (broadcastable to the result; None: everything up to the query) is what they see in a causal model, to which
    is added that prefix tokens ``[B, L]`` see those of the same prefix.
    """
    if seen is None:
        length = prefix.shape[1]
        seen = torch.ones(length, length, dtype=torch.bool, device=prefix.device).tril()[None, None]  # [1, 1, L, L]
    both = (prefix[:, :, None] & prefix[:, None, :])[:, None]  # [B, 1, L, L]
    if segments is not None:
        both = both & same_segment(segments, segments)
    return seen | both
