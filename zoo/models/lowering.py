"""Position terms made into what attention kernels take: an additive mask, or a FlexAttention score_mod."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from zoo.models.contracts import Dense, Formula, KeyTable, QueryTable, StaticTable, Term

ScoreMod = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]


def fuses(terms: Sequence[Term]) -> bool:
    """Whether every term can be computed inside a fused kernel; a written-out bias cannot."""
    return not any(isinstance(term, Dense) for term in terms)


def additive_bias(terms: Sequence[Term], q_positions: Tensor, k_positions: Tensor) -> Tensor:
    """The sum of `terms` written out.

    Positions ``[B or 1, Lq]`` and ``[B or 1, Lk]``; gives ``[B or 1, H, Lq, Lk]``. Raises ValueError without terms.
    """
    if not terms:
        raise ValueError("no terms to lower")
    q, k = q_positions[:, :, None], k_positions[:, None, :]  # [B, Lq, 1], [B, 1, Lk]
    total = _written_out(terms[0], q, k)
    for term in terms[1:]:
        total = total + _written_out(term, q, k)
    return total


def bias_of_pairs(terms: Sequence[Term], q_positions: Tensor, k_positions: Tensor, keys: Tensor) -> Tensor:
    """The sum of `terms` for some keys of each query: the bias of query i and key ``keys[i, w]``.

    Positions ``[B or 1, Lq]`` and ``[B or 1, Lk]``, keys ``[Lq, W]``; gives ``[B or 1, H, Lq, W]``, float32. Raises
    ValueError without terms.
    """
    if not terms:
        raise ValueError("no terms to lower")
    q, k = q_positions[:, :, None], k_positions[:, keys]  # [B, Lq, 1], [B, Lq, W]
    total = _of_pairs(terms[0], q, k, keys).float()
    for term in terms[1:]:
        total = total + _of_pairs(term, q, k, keys).float()
    return total


def _of_pairs(term: Term, q: Tensor, k: Tensor, keys: Tensor) -> Tensor:
    if isinstance(term, Dense):
        return term.bias.gather(-1, keys.expand(*term.bias.shape[:2], *keys.shape))  # [B, H, Lq, W]
    if not isinstance(term, KeyTable):
        return _written_out(term, q, k)  # [B, H, Lq, W]
    batch, heads, _, buckets = term.table.shape
    index = (keys * buckets + term.bucket(q, k)).flatten(1)[:, None]  # [B or 1, 1, Lq*W]
    chosen = term.table.flatten(-2).gather(-1, index.expand(batch, heads, -1))  # [B, H, Lq*W]
    return chosen.view(batch, heads, *keys.shape)  # [B, H, Lq, W]


def _written_out(term: Term, q: Tensor, k: Tensor) -> Tensor:
    if isinstance(term, Dense):
        return term.bias  # [B, H, Lq, Lk]
    if isinstance(term, Formula):
        columns = tuple(column[None, :, None, None] for column in term.parameters.unbind(-1))  # [1, H, 1, 1]
        return term.formula(columns, q[:, None], k[:, None])  # [B, H, Lq, Lk]
    bucket = term.bucket(q, k).long()  # [B or 1, Lq, Lk]
    if isinstance(term, StaticTable):
        heads = term.table.shape[0]
        chosen = term.table.index_select(1, bucket.flatten())  # [H, B*Lq*Lk]
        return chosen.view(heads, *bucket.shape).transpose(0, 1)  # [B or 1, H, Lq, Lk]
    batch, heads = term.table.shape[:2]
    if isinstance(term, QueryTable):
        index = bucket[:, None].expand(batch, heads, *bucket.shape[1:])  # [B, H, Lq, Lk]
        return term.table.gather(-1, index)  # [B, H, Lq, Lk]
    turned = bucket.transpose(1, 2)  # [B or 1, Lk, Lq]
    index = turned[:, None].expand(batch, heads, *turned.shape[1:])  # [B, H, Lk, Lq]
    return term.table.gather(-1, index).transpose(-1, -2)  # [B, H, Lq, Lk]


def additive_mask(
    terms: Sequence[Term],
    q_positions: Tensor,
    k_positions: Tensor,
    *,
    visible: Tensor | None,
    causal: bool,
    dtype: torch.dtype,
) -> Tensor:
    """Terms and visibility as one float mask ``[B or 1, H, Lq, Lk]`` to add to the scaled logits.

    `visible` is boolean, broadcastable to the result (True = seen), or a float mask that is added; `causal` as SDPA's
    ``is_causal``: query i sees keys 0..i. Hidden entries get the lowest finite number, never -inf, so that a row of
    padding has a softmax.
    """
    bias = additive_bias(terms, q_positions, k_positions).to(dtype)  # [B, H, Lq, Lk]
    lowest = torch.finfo(dtype).min
    own = _is_own(bias, terms)
    if visible is not None and visible.dtype != torch.bool:
        bias = bias + visible.to(dtype)
    elif visible is not None:
        bias = _filled(bias, visible.logical_not(), lowest, own=own)
    if causal:
        later = torch.ones(bias.shape[-2:], dtype=torch.bool, device=bias.device).triu(1)  # [Lq, Lk]
        bias = _filled(bias, later, lowest, own=own)
    return bias


def _is_own(bias: Tensor, terms: Sequence[Term]) -> bool:
    """Whether `bias`, the sum of `terms`, is a tensor that nobody else holds or needs as it is, element for element."""
    if torch.compiler.is_compiling():  # a compiler decides for itself what is made in place
        return False
    kinds = {type(term) for term in terms}
    if Dense in kinds or (Formula in kinds and bias.requires_grad):  # the backward of a formula may need its result
        return False
    return all(step > 0 for step, size in zip(bias.stride(), bias.shape, strict=True) if size > 1)


def _filled(bias: Tensor, hidden: Tensor, value: float, *, own: bool) -> Tensor:
    """`value` where `hidden`; in place where the bias is our `own` and large enough: scores are then made once."""
    fits = all(size in (1, have) for size, have in zip(reversed(hidden.shape), reversed(bias.shape), strict=False))
    if own and fits:
        return bias.masked_fill_(hidden, value)
    return bias.masked_fill(hidden, value)


def score_mod(
    terms: Sequence[Term],
    q_positions: Tensor | None,
    k_positions: Tensor | None,
    *,
    visible: Tensor | None,
    causal: bool,
) -> ScoreMod | None:
    """Terms and visibility as FlexAttention's ``score_mod(score, b, h, i, j)``; None where nothing changes a score."""
    if not terms and visible is None and not causal:
        return None
    mods = [_inside(term, q_positions, k_positions) for term in terms]
    shown = None if visible is None else _lookup(visible)

    def modify(score: Tensor, b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
        for mod in mods:
            score = mod(score, b, h, i, j)
        if shown is not None:
            seen = shown(b, h, i, j)
            score = torch.where(seen, score, -float("inf")) if seen.dtype == torch.bool else score + seen
        if causal:
            score = torch.where(j <= i, score, -float("inf"))
        return score

    return modify


def _lookup(tensor: Tensor) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
    """Element of a tensor ``[B or 1, H or 1, Lq or 1, Lk]``: dimensions of size one are not indexed by the kernel."""
    several = tuple(size > 1 for size in tensor.shape)

    def element(b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
        first, second, third, last = (at if many else at * 0 for at, many in zip((b, h, i, j), several, strict=True))
        return tensor[first, second, third, last]

    return element


def _inside(term: Term, q_positions: Tensor | None, k_positions: Tensor | None) -> ScoreMod:
    if isinstance(term, Dense):
        bias = _lookup(term.bias)
        return lambda score, b, h, i, j: score + bias(b, h, i, j)
    if q_positions is None or k_positions is None:
        raise ValueError("terms need the positions of queries and keys")
    q_at, k_at = _lookup(q_positions[:, None, :, None]), _lookup(k_positions[:, None, None, :])

    def positions(b: Tensor, i: Tensor, j: Tensor) -> tuple[Tensor, Tensor]:
        zero = i * 0
        return q_at(b, zero, i, zero), k_at(b, zero, zero, j)

    if isinstance(term, Formula):
        formula, parameters = term.formula, term.parameters
        width = parameters.shape[-1]

        def closed_form(score: Tensor, b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
            return score + formula(tuple(parameters[h, p] for p in range(width)), *positions(b, i, j))

        return closed_form
    table, bucket = term.table, term.bucket

    if isinstance(term, StaticTable):
        return lambda score, b, h, i, j: score + table[h, bucket(*positions(b, i, j))]
    if isinstance(term, QueryTable):
        return lambda score, b, h, i, j: score + table[b, h, i, bucket(*positions(b, i, j))]
    return lambda score, b, h, i, j: score + table[b, h, j, bucket(*positions(b, i, j))]
