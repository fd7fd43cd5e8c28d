"""Which tokens are real, where they stand, and which key each query sees. No mask is made where nothing is hidden."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.models.contracts import position_ids


@dataclass(frozen=True)
class Padding:
    """The real tokens of a batch.

    `mask` ``[B, L]`` is boolean (True = real), or None where every token is. `left` says that some padding stands
    before a real token, so that a token's index is not its position; `gaps` that some may stand between real tokens.
    """

    mask: Tensor | None
    left: bool = False
    gaps: bool = False

    @classmethod
    def of(cls, attention_mask: Tensor | None) -> Padding:
        """Look at a mask ``[B, L]`` (nonzero = real) once, with one device synchronisation."""
        if attention_mask is None:
            return cls(None)
        mask = attention_mask.bool()
        if torch.compiler.is_compiling() or torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
            return cls(mask, left=True, gaps=True)  # a graph cannot branch on data; the general case is always right
        rises = mask[:, 1:] & ~mask[:, :-1]  # [B, L - 1]
        runs = rises.sum(-1) + mask[:, :1].sum(-1)  # [B]
        full, left, gaps = torch.stack((mask.all(), rises.any(), (runs > 1).any())).tolist()
        return cls(None) if full else cls(mask, left=left, gaps=gaps)

    @classmethod
    def covering(cls, attention_mask: Tensor | None, total: int, name: str) -> Padding:
        """As `of`. Raises ValueError, naming the argument, unless the mask covers cached and new tokens: `total`."""
        if attention_mask is not None and (attention_mask.ndim != 2 or attention_mask.shape[1] != total):
            raise ValueError(
                f"{name}: expected [batch, {total}] (cached and new tokens), "
                f"found {list(attention_mask.shape)}; static caches are not supported"
            )
        return cls.of(attention_mask)

    def positions(self, length: int, device: torch.device) -> Tensor:
        """Positions of `length` tokens: ``[1, L]``, or ``[B, L]`` where left padding makes them differ."""
        # Padding on the right is never looked at, so there a token's index will do: one row serves the batch.
        return position_ids(self.mask if self.left else None, length, device=device)

    def cached_positions(
        self, given: Tensor | None, length: int, total: int, device: torch.device
    ) -> tuple[Tensor, Tensor]:
        """Positions of the last `length` of `total` tokens, and of all, cached ones included.

        ``[B or 1, T]`` and ``[B or 1, P + T]``. `given` ``[B or 1, T]`` are those of the new tokens, where somebody
        chose them.
        """
        if given is not None and length == total:
            return given, given
        counted = self.positions(total, device)  # [B or 1, P + T]
        if given is not None:
            # The cache does not hold the positions of its tokens: they stand where the new ones say, counted backwards.
            counted = counted + (given[:, :1] - counted[:, total - length : total - length + 1])
        return (counted, counted) if length == total else (counted[:, total - length :], counted)

    def keys(self) -> Tensor | None:
        """The mask as attention takes it: ``[B, 1, 1, Lk]``, or None."""
        return None if self.mask is None else self.mask[:, None, None]  # [B, 1, 1, Lk]


def segment_positions(segments: Tensor) -> Tensor:
    """Positions ``[B, L]`` of tokens that count from zero in each segment of a packed row; padding (0) stands at 0."""
    index = torch.arange(segments.shape[1], device=segments.device)
    begins = torch.ones_like(segments, dtype=torch.bool)
    begins[:, 1:] = segments[:, 1:] != segments[:, :-1]
    return (index - (index * begins).cummax(1).values) * (segments != 0)  # [B, L]


def same_segment(queries: Tensor, keys: Tensor) -> Tensor:
    """Which keys stand in the segment of each query, ``[B, 1, Lq, Lk]``: segments ``[B, Lq]`` and ``[B, Lk]``."""
    return (queries[:, :, None] == keys[:, None, :])[:, None]  # [B, 1, Lq, Lk]


def memory_visibility(targets: Tensor, sources: Tensor) -> Tensor:
    """What packed targets ``[B, T]`` see of packed sources ``[B, S]``: their own segment, ``[B, 1, T, S]``.

    Padding sees everything: its output is never used, but a softmax over nothing would be NaN.
    """
    return same_segment(targets, sources) | (targets == 0)[:, None, :, None]  # [B, 1, T, S]


def causal_visibility(
    padding: Padding, queries: int, keys: int, device: torch.device, segments: Tensor | None = None
) -> tuple[Tensor | None, bool]:
    """What the last `queries` of `keys` tokens see of all of them, as ``(mask, is_causal)``.

    The mask ``[B or 1, 1, Lq, Lk]`` is None where SDPA's ``is_causal`` flag, or nothing at all, says the same. Every
    query sees itself, padding too: its output is never used, but a softmax over nothing would be NaN. In packed rows,
    whose `segments` ``[B, L]`` are given, a query sees its own segment only.
    """
    offset = keys - queries
    if padding.mask is None and segments is None and (queries == 1 or offset == 0):
        return None, queries > 1
    key_index = torch.arange(keys, device=device)
    distance = torch.arange(offset, keys, device=device)[:, None] - key_index  # [Lq, Lk]
    seen = (distance >= 0)[None, None]  # [1, 1, Lq, Lk]
    real = padding.keys()
    if real is not None:
        seen = (seen & real) | (distance == 0)  # [B, 1, Lq, Lk]
    if segments is not None:
        seen = seen & same_segment(segments, segments)  # [B, 1, L, L]
    return seen, False
