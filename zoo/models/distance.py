"""How much attention goes to each clipped distance, for schemes with a value side (Shaw et al. 2018, equation 3).

With the log-sum-exp of the attention no matrix of it is needed: ``exp(score - lse)`` on the middle diagonals, and what
is left over for the two ends.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.models.contracts import Formula, Term
from zoo.models.lowering import bias_of_pairs

_NOWHERE = -1e4
"""Added to the scores that a sum leaves out. exp of it is 0; it is finite, so that a query may have all left out."""


def masses_of_matrix(attention: Tensor, q_positions: Tensor, k_positions: Tensor, clip: int) -> Tensor:
    """attention ``[B, H, Lq, Lk]`` summed by clipped distance: ``[B, H, Lq, 2 clip + 1]``."""
    distance = (k_positions[:, None] - q_positions[:, :, None]).clamp(-clip, clip) + clip  # [B or 1, Lq, Lk]
    empty = attention.new_zeros(*attention.shape[:3], 2 * clip + 1)  # [B, H, Lq, 2 clip + 1]
    return empty.scatter_add(-1, distance[:, None].expand_as(attention), attention)


def far_back(heads: int, clip: int, device: torch.device) -> Formula:
    """The term that leaves only the keys `clip` positions or more before their query."""
    return Formula(torch.full((heads, 1), float(clip), device=device), _far_back)


def _far_back(parameters: tuple[Tensor, ...], q_positions: Tensor, k_positions: Tensor) -> Tensor:
    (clip,) = parameters
    return _NOWHERE * (q_positions - k_positions < clip)


def masses_of_band(
    query: Tensor,
    key: Tensor,
    log_sum_exp: Tensor,
    mask: Tensor | None,
    terms: Sequence[Term],
    q_positions: Tensor,
    k_positions: Tensor,
    *,
    causal: bool,
    clip: int,
    back: Tensor | None,
) -> Tensor:
    """The same from the scores near the diagonal: ``[B, H, Lq, 2 clip + 1]``, float32.

    query ``[B, H, Lq, Dh]`` is scaled; the queries are the last Lq of the Lk tokens, and those of these that see each
    other stand at consecutive positions. `back` ``[B, H, Lq]`` is the attention paid to keys `clip` or more positions
    before the query; None says that nothing after a query is seen, so that it is what the middle leaves.
    """
    reach, (queries, keys) = clip - 1, (query.shape[-2], key.shape[-2])
    with torch.autocast(query.device.type, enabled=False):
        scores = _diagonals(query.float(), key.float(), keys - queries, reach)  # [B, H, Lq, 2 clip - 1]
    steps = torch.arange(-reach, clip, device=query.device)  # [2 clip - 1]
    at = torch.arange(keys - queries, keys, device=query.device)[:, None] + steps  # [Lq, 2 clip - 1]
    seen = (at >= 0) & (at < keys)
    if causal or back is None:
        seen = seen & (steps <= 0)
    at = at.clamp(0, keys - 1)
    if terms:
        scores = scores + bias_of_pairs(terms, q_positions, k_positions, at)
    if mask is not None:
        near = mask.expand(*mask.shape[:2], queries, keys)  # [B or 1, H or 1, Lq, Lk], a view
        near = near.gather(-1, at.expand(*mask.shape[:2], *at.shape))  # [B or 1, H or 1, Lq, 2 clip - 1]
        if near.dtype == torch.bool:
            seen = seen & near
        else:
            scores = scores + near
    total = log_sum_exp.clamp_min(torch.finfo(torch.float32).min / 2)[..., None]  # [B, H, Lq, 1], of all hidden too
    middle = (scores.masked_fill(~seen, -torch.inf) - total).exp()  # [B, H, Lq, 2 clip - 1]
    rest = 1 - middle.sum(-1)  # [B, H, Lq]
    if back is None:
        back, ahead = rest, torch.zeros_like(rest)
    else:
        ahead = rest - back
    return torch.cat((back[..., None], middle, ahead[..., None]), dim=-1)  # [B, H, Lq, 2 clip + 1]


def _diagonals(query: Tensor, key: Tensor, offset: int, reach: int) -> Tensor:
    """Products of each query i with the keys i + offset - reach .. i + offset + reach: ``[B, H, Lq, 2 reach + 1]``.

    Queries go in blocks with the keys that the block can reach, so that what is computed grows with Lq, not its
    square. Products with keys that do not exist are 0.
    """
    (batch, heads, queries, features), keys = query.shape, key.shape[-2]
    width = 2 * reach + 1
    size = max(width, 16)
    blocks = -(-queries // size)
    window = size + 2 * reach
    blocked = F.pad(query, (0, 0, 0, blocks * size - queries)).view(batch, heads, blocks, size, features)
    before = reach - offset  # where negative, keys that no query reaches are cut off
    after = blocks * size + 2 * reach - before - keys
    windows = F.pad(key, (0, 0, before, after)).unfold(2, window, size)  # [B, H, n, Dh, W]
    products = blocked @ windows  # [B, H, n, C, W]
    # Row c of a block starts at its column c: read with rows one longer, the diagonals stand below each other.
    slanted = F.pad(products.flatten(-2), (0, size)).view(batch, heads, blocks, size, window + 1)
    diagonals: Tensor = slanted[..., :width].flatten(2, 3)[:, :, :queries]  # [B, H, Lq, 2 reach + 1]
    return diagonals
