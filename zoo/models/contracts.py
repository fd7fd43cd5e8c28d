"""What the host asks of model components, and what it gives them.

Shapes: B batch, L length (Lq queries, Lk keys, S source, T target), D width, H heads, N table buckets.
Positions are always explicit integer tensors ``[B or 1, L]``: a cache offset, left padding and packing all change
them, and none of them shows in a shape.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from zoo.spec.options import Options

Side = Literal["encoder", "decoder"]
Bucket = Callable[[Tensor, Tensor], Tensor]
"""``bucket(q_pos, k_pos) -> int`` in ``[0, N)``: element-wise and broadcasting, so that every backend can call it."""


@dataclass(frozen=True)
class StaticTable:
    """A learned or fixed bias per head and bucket: ``bias[h, i, j] = table[h, bucket(i, j)]``; table ``[H, N]``."""

    table: Tensor
    bucket: Bucket


@dataclass(frozen=True)
class QueryTable:
    """A bias by query: ``bias[b, h, i, j] = table[b, h, i, bucket(i, j)]``; table ``[B, H, Lq, N]``."""

    table: Tensor
    bucket: Bucket


@dataclass(frozen=True)
class KeyTable:
    """A bias that depends on the key: ``bias[b, h, i, j] = table[b, h, j, bucket(i, j)]``; table ``[B, H, Lk, N]``."""

    table: Tensor
    bucket: Bucket


@dataclass(frozen=True)
class Formula:
    """A bias in closed form, where a table would need to know the longest distance beforehand.

    ``bias[h, i, j] = formula(parameters[h], i, j)`` with parameters ``[H, P]``; `formula` is element-wise and
    broadcasting over its position arguments; it gets the P columns of the parameters as a tuple.
    """

    parameters: Tensor
    formula: Callable[[tuple[Tensor, ...], Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Dense:
    """A bias ``[B or 1, H, Lq, Lk]`` written out: the declared, unfused last resort."""

    bias: Tensor


Term = StaticTable | QueryTable | KeyTable | Formula | Dense


@dataclass(frozen=True)
class AttentionStatistics:
    """What a value-side scheme may need of the attention it follows."""

    query: Tensor  # [B, H, Lq, Dh], scaled and rotated as scored
    key: Tensor  # [B, H, Lk, Dh]
    log_sum_exp: Tensor  # [B, H, Lq], float32
    k_positions: Tensor  # [B or 1, Lk]
    visible: Tensor | None = None  # broadcastable to [B, H, Lq, Lk], True = seen; None where all is


@dataclass(frozen=True)
class StackContext:
    """The place a stack-level component is built for."""

    side: Side
    layers: int
    d_model: int
    heads: int
    max_positions: int
    head_width: int | None = None
    """Width of a head where it is not the model's width over the heads."""

    @property
    def head_dim(self) -> int:
        return self.head_width or self.d_model // self.heads

    @property
    def causal(self) -> bool:
        """Whether self-attention of this stack looks only backwards."""
        return self.side == "decoder"


class Position(nn.Module):
    """A position scheme of one stack; override what the scheme does, the rest is the identity.

    The host builds one per stack (``target(options, context)``), calls `embed` once on the scaled token embeddings,
    and for each self-attention layer asks `layer(i)` for the object whose `rotate`, `score` and `output` it uses.
    Keys are cached after `rotate`.
    """

    content_dependent: bool = False
    """Whether `score` looks at q or k. If not, and layers share one object, the host computes the bias once a pass."""

    needs_statistics: bool = False
    """Whether `output` needs the log-sum-exp of the attention."""

    shift_invariant: bool = False
    """Whether moving every position by a constant leaves the stack's output unchanged."""

    position_limit: int | None = None
    """Positions must stay below it (the end of a table). The host checks lengths, which it knows without reading the
    device, and raises InputError; None is no limit."""

    def __init__(self, options: Options, context: StackContext) -> None:
        super().__init__()
        self.options = options
        self.context = context

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        """Absolute side. x ``[B, L, D]`` scaled token embeddings, positions ``[B or 1, L]`` -> ``[B, L, D]``."""
        return x

    def layer(self, index: int) -> Position:
        """The scheme as layer `index` uses it; schemes with tables per layer return their own part."""
        return self

    def rotate(
        self, q: Tensor, k: Tensor, v: Tensor, q_positions: Tensor, k_positions: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Rotary side, before the cache: q ``[B, H, Lq, Dh]``, k and v ``[B, H, Lk, Dh]`` of the new tokens."""
        return q, k, v

    def score(self, q: Tensor | None, k: Tensor | None, q_positions: Tensor, k_positions: Tensor) -> tuple[Term, ...]:
        """Terms added to the scaled logits; q (already scaled) and k are None unless `content_dependent`."""
        return ()

    def output(self, o: Tensor, statistics: AttentionStatistics | None, q_positions: Tensor) -> Tensor:
        """Value side, after attention: o ``[B, H, Lq, Dh]``."""
        return o


class Normalization(nn.Module):
    """Built as ``target(options, width)``; maps ``[..., D]`` to ``[..., D]``."""

    def __init__(self, options: Options, width: int) -> None:
        super().__init__()


class Activation(nn.Module):
    """Built as ``target(options)``; element-wise."""

    def __init__(self, options: Options) -> None:
        super().__init__()


class Feedforward(nn.Module):
    """Built as ``target(options, width)``; maps ``[B, L, D]`` to ``[B, L, D]``."""

    def __init__(self, options: Options, width: int) -> None:
        super().__init__()


Sublayer = Callable[[Tensor], Tensor]
MakeNorm = Callable[[], nn.Module]


class Block(nn.Module):
    """The arrangement of one layer's sublayers: where residuals and normalisations stand.

    Built once per layer as ``target(options, sublayers, make_norm, dropout)`` where `sublayers` is the number of
    sublayers (2 in an encoder layer, 3 in a decoder layer). `forward` gets x ``[B, L, D]`` and the sublayers as
    callables, in order: self-attention, [cross-attention,] feed-forward. A sublayer's output has not been through
    dropout: the block applies it.
    """

    final_norm: bool = False
    """Whether the host adds one normalisation after the last layer of a stack (pre-norm needs it)."""

    def __init__(self, options: Options, sublayers: int, make_norm: MakeNorm, dropout: float) -> None:
        super().__init__()

    def forward(self, x: Tensor, sublayers: tuple[Sublayer, ...]) -> Tensor:
        raise NotImplementedError


@dataclass(frozen=True)
class FusionContext:
    """The place a fusion is built for. `layer_states` will hold encoder_layers + 1 entries, embeddings first."""

    encoder_layers: int
    decoder_layers: int
    d_model: int


@dataclass(frozen=True)
class Memory:
    """What one decoder layer attends to: sources ``[B, S, D]``, and a mask ``[B, S]`` (True = real) or None."""

    key_source: Tensor
    value_source: Tensor
    mask: Tensor | None


class Fusion(nn.Module, ABC):
    """Makes each decoder layer's memory from the encoder. Built as ``target(options, context)``."""

    needs_all_layers: bool = True
    """If False, `layer_states` holds the top layer only (``[B, 1, S, D]``) and the host never stacks the others."""

    shared_by_layers: bool = False
    """Whether every decoder layer gets the same memory, so that the host asks once."""

    def __init__(self, options: Options, context: FusionContext) -> None:
        super().__init__()
        self.options = options
        self.context = context

    @abstractmethod
    def memory(self, layer_states: Tensor, mask: Tensor | None, decoder_layer: int) -> Memory:
        """layer_states ``[B, L, S, D]``, mask ``[B, S]`` (True = real) -> Memory of that decoder layer."""


def position_ids(mask: Tensor | None, length: int, *, device: torch.device, offset: int = 0) -> Tensor:
    """Positions of `length` tokens: ``[1, L]`` counting from `offset`, or ``[B, L]`` counting real tokens of `mask`.

    `mask` is ``[B, offset + L]`` (nonzero = real). Padding gets the position of the nearest real token before it
    (0 before the first), so that a left-padded sentence has the positions of its unpadded self.
    """
    if mask is None:
        return torch.arange(offset, offset + length, device=device)[None]  # [1, L]
    counted = mask.long().cumsum(-1).sub(1).clamp_min(0)  # [B, offset + L]
    return counted[:, offset : offset + length]  # [B, L]
