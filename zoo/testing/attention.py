"""A slow and plain attention layer: the reference that a position scheme is run in. It writes every bias out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.models.contracts import (
    AttentionStatistics,
    Dense,
    Formula,
    Position,
    QueryTable,
    StaticTable,
    Term,
)


def dense_bias(term: Term, q_positions: Tensor, k_positions: Tensor) -> Tensor:
    """The bias that `term` stands for, ``[B or 1, H, Lq, Lk]``; positions ``[B or 1, L]``."""
    i, j = q_positions[:, None, :, None], k_positions[:, None, None, :]  # [B or 1, 1, Lq, 1], [B or 1, 1, 1, Lk]
    # isinstance, not match: torch.compile cannot trace class patterns.
    if isinstance(term, Dense):
        return term.bias
    if isinstance(term, Formula):
        columns = tuple(column[None, :, None, None] for column in term.parameters.unbind(-1))  # [1, H, 1, 1] each
        return term.formula(columns, i, j)  # [B or 1, H, Lq, Lk]
    if isinstance(term, StaticTable):
        return term.table[:, term.bucket(i, j)[:, 0]].transpose(0, 1)  # [B or 1, H, Lq, Lk]
    if isinstance(term, QueryTable):
        index = term.bucket(i, j).expand(*term.table.shape[:3], j.shape[-1])  # [B, H, Lq, Lk]
        return term.table.gather(-1, index)  # [B, H, Lq, Lk]
    index = term.bucket(i, j).mT.expand(*term.table.shape[:3], i.shape[-2])  # [B, H, Lk, Lq]
    return term.table.gather(-1, index).mT  # [B, H, Lq, Lk]


@dataclass
class Cache:
    """Keys as rotated, values, and their positions."""

    key: Tensor
    value: Tensor
    positions: Tensor


class ReferenceAttention:
    """Self-attention of one layer with fixed random projections."""

    def __init__(self, width: int, heads: int, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.heads = heads
        self.weights = torch.randn(3, width, width, generator=generator) / width**0.5

    def _project(self, x: Tensor, weight: Tensor) -> Tensor:
        batch, length, width = x.shape
        projected = x @ weight.to(x)  # [B, L, D]
        return projected.view(batch, length, self.heads, width // self.heads).transpose(1, 2)  # [B, H, L, Dh]

    def step(
        self,
        position: Position,
        x: Tensor,
        positions: Tensor,
        cache: Cache | None = None,
        *,
        causal: bool = False,
        visible: Tensor | None = None,
        layer: int = 0,
    ) -> tuple[Tensor, Cache]:
        """x ``[B, L, D]`` at positions ``[B or 1, L]``, after what is cached -> output ``[B, L, D]``, new cache.

        `visible`, broadcastable to ``[B, H, L, Lk]`` (True = seen), is what is seen at all. The scheme is used as
        layer `layer` uses it.
        """
        x = position.embed(x, positions)
        scheme = position.layer(layer)
        placed = scheme.inputs(x, positions)  # [B, L, D]
        sources = (placed, placed, x)
        q, k, v = (self._project(of, weight) for of, weight in zip(sources, self.weights, strict=True))  # [B, H, L, Dh]
        q, k, v = scheme.rotate(q, k, v, positions, positions)
        k_positions = positions
        if cache is not None:
            k, v = torch.cat((cache.key, k), dim=2), torch.cat((cache.value, v), dim=2)  # [B, H, Lk, Dh]
            k_positions = torch.cat((cache.positions, positions), dim=1)  # [B or 1, Lk]
        q = q * (q.shape[-1] ** -0.5 * scheme.logit_scale)
        content: tuple[Tensor | None, Tensor | None] = (q, k) if scheme.content_dependent else (None, None)
        precision = torch.promote_types(q.dtype, torch.float32)  # float32, or float64 where that is checked
        logits = (q @ k.mT).to(precision)  # [B, H, Lq, Lk]
        for term in scheme.score(content[0], content[1], positions, k_positions):
            logits = logits + dense_bias(term, positions, k_positions).to(precision)
        if causal:
            hidden = torch.ones(logits.shape[-2:], dtype=torch.bool, device=x.device).triu(
                logits.shape[-1] - logits.shape[-2] + 1
            )
            logits = logits.masked_fill(hidden, float("-inf"))
        if visible is not None:
            logits = logits.masked_fill(~visible, float("-inf"))
        weights = logits.softmax(-1)  # [B, H, Lq, Lk]
        output = weights.to(v.dtype) @ v  # [B, H, Lq, Dh]
        statistics = None
        if scheme.needs_statistics:
            distance = (k_positions[:, None] - positions[:, :, None])[:, None]  # [B or 1, 1, Lq, Lk]

            def masses(clip: int) -> Tensor:
                clipped = distance.clamp(-clip, clip)
                each = [(weights * (clipped == at)).sum(-1) for at in range(-clip, clip + 1)]
                return torch.stack(each, dim=-1)  # [B, H, Lq, 2 clip + 1]

            statistics = AttentionStatistics(q, k, logits.logsumexp(-1), k_positions, masses, visible)
        output = scheme.output(output, statistics, positions)
        return output.transpose(1, 2).flatten(2), Cache(k, v, k_positions)  # [B, L, D]

    def __call__(
        self,
        position: Position,
        x: Tensor,
        positions: Tensor,
        *,
        causal: bool = False,
        visible: Tensor | None = None,
        layer: int = 0,
    ) -> Tensor:
        """The output of one whole pass, ``[B, L, D]``."""
        return self.step(position, x, positions, causal=causal, visible=visible, layer=layer)[0]
