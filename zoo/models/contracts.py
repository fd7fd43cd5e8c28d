"""What the host asks of model components, and what it gives them.

Shapes: B batch, L length (Lq queries, Lk keys, S source, T target), D width, H heads, N table buckets.
Positions are always explicit integer tensors ``[B or 1, L]``: a cache offset, left padding and packing all change
them, and none of them shows in a shape.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from zoo.spec.context import ContextOptions
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
    distance_masses: Callable[[int], Tensor]
    """``distance_masses(k)`` ``[B, H, Lq, 2k + 1]``, float32: the attention that each query pays to the keys at each
    clipped distance, -k (j - i <= -k) to k (j - i >= k). The host makes it without an attention matrix where it can."""
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
    prefix: bool = False
    """Whether the first tokens of a sequence see each other in both directions, in a decoder too (a prefix LM)."""
    cross: bool = False
    """Whether the scheme places attention to the memory: queries of the target, keys of the source. `embed` is not
    called then."""

    @property
    def head_dim(self) -> int:
        return self.head_width or self.d_model // self.heads

    @property
    def causal(self) -> bool:
        """Whether attention looks only backwards: self-attention of a decoder does, without a prefix."""
        return self.side == "decoder" and not self.cross and not self.prefix


class Position(nn.Module):
    """A position scheme of one stack; override what the scheme does, the rest is the identity.

    The host builds one per stack (``target(options, context)``), calls `embed` once on the scaled token embeddings,
    and for each self-attention layer asks `layer(i)` for the object whose `inputs`, `rotate`, `score` and `output` it
    uses. Keys are cached after `rotate`. For cross-attention it may build another one (``context.cross``), of which
    it uses the layers.
    """

    content_dependent: bool = False
    """Whether `score` looks at q or k. If not, and layers share one object, the host computes the bias once a pass."""

    needs_statistics: bool = False
    """Whether `output` needs statistics of the attention."""

    logit_scale: float = 1.0
    """What the logits, q·k / sqrt(Dh), are multiplied by. The q that `score` gets has been multiplied by both."""

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

    def inputs(self, x: Tensor, positions: Tensor) -> Tensor:
        """What queries and keys are projected from, while values stay projected from x ``[B, L, D]``.

        In self-attention it is called once for both, in cross-attention once for the queries' and once for the keys'.
        """
        return x

    def rotate(
        self, q: Tensor, k: Tensor, v: Tensor, q_positions: Tensor, k_positions: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Rotary side, before the cache: q ``[B, H, Lq, Dh]``, k and v ``[B, H, Lk, Dh]`` of the new tokens.

        In cross-attention there are no new keys once the cache holds the memory's: Lk is 0.
        """
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

    def matrices(self) -> dict[str, Tensor]:
        """The weight matrices ``[out, in]`` by name, for `Initialization`: those of the `nn.Linear` inside.

        Override it where matrices stand elsewhere.
        """
        return {name: part.weight for name, part in self.named_modules() if isinstance(part, nn.Linear)}


@dataclass(frozen=True)
class LayerContext:
    """The place of one layer. A model of one stack has 0 layers in the other."""

    side: Side
    layer: int
    encoder_layers: int
    decoder_layers: int

    @property
    def layers(self) -> int:
        """Layers of the stack that this one belongs to."""
        return self.encoder_layers if self.side == "encoder" else self.decoder_layers


Transform = Callable[[Tensor], Tensor]
Sublayer = Transform
MakeNorm = Callable[[], nn.Module]


@dataclass(frozen=True)
class BlockContext(LayerContext):
    """The layer that a block is built for, with what it is made of.

    `sublayers` is their number (2 in an encoder layer, 3 where there is cross-attention); `make_norm` makes one more
    normalisation of the model's width; `dropout` is the probability on each sublayer's output.
    """

    sublayers: int
    make_norm: MakeNorm
    dropout: float


class Block(nn.Module):
    """The arrangement of one layer's sublayers: where residuals and normalisations stand.

    Built once per layer as ``target(options, context)``. `forward` gets x ``[B, L, D]`` and the sublayers as callables,
    in order: self-attention, [cross-attention,] feed-forward. A sublayer's output has not been through dropout: the
    block applies it.
    """

    final_norm: bool = False
    """Whether the host adds one normalisation after the last layer of a stack (pre-norm needs it)."""

    def __init__(self, options: Options, context: BlockContext) -> None:
        super().__init__()

    def forward(self, x: Tensor, sublayers: tuple[Sublayer, ...]) -> Tensor:
        raise NotImplementedError


Role = Literal["query", "key", "value", "attention-output", "feedforward"]


@dataclass(frozen=True)
class Matrix:
    """One weight matrix of a layer, as an initialisation sees it.

    `weight` ``[out, in]`` is detached and shares the parameter's memory; of a fused matrix it is the part that the
    role names. `attention` says which attention it belongs to, None for the feed-forward layer. `name` is its own
    within the layer, such as ``cross_attention.key`` or ``feedforward.up``.
    """

    name: str
    role: Role
    attention: Literal["self", "cross"] | None
    weight: Tensor


@dataclass(frozen=True)
class InitializationContext(LayerContext):
    """The layer whose matrices are initialised."""

    d_model: int


class Initialization(ABC):
    """How the matrices of the layers start. Built once per stack as ``target(options)``.

    The host calls `initialize` once for each matrix of each layer, and of a context encoder as of the last layer of the
    stack that it is in, after the components have initialised themselves: redraw it in place, or rescale what is there.
    Draws come from torch's generator, which the host seeds by the matrix's place, so that a model keeps its other
    weights when a part of it is exchanged. Biases, normalisations and embeddings are not handed over. Loading a model
    puts the saved weights over all of it.
    """

    def __init__(self, options: Options) -> None:
        self.options = options

    @abstractmethod
    def initialize(self, matrix: Matrix, context: InitializationContext) -> None:
        """Set ``matrix.weight`` in place."""


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

    embeddings_before_positions: bool = False
    """If True, ``layer_states[:, 0]`` are the scaled token embeddings alone, before positions and dropout; else what
    enters the first encoder layer. An instance may set it."""

    omitted: frozenset[int] = frozenset()
    """Encoder outputs that a measurement leaves out (0 = embeddings): a fusion with `contributions` gives them weight
    zero, without dividing it among the others."""

    def __init__(self, options: Options, context: FusionContext) -> None:
        super().__init__()
        self.options = options
        self.context = context

    @abstractmethod
    def memory(self, layer_states: Tensor, mask: Tensor | None, decoder_layer: int) -> Memory:
        """layer_states ``[B, L, S, D]``, mask ``[B, S]`` (True = real) -> Memory of that decoder layer."""

    def contributions(self, layer_states: Tensor, decoder_layer: int) -> Tensor | None:
        """What each encoder output adds to the values of a decoder layer's memory: ``[L, B, S, D]``.

        The terms add up to the memory's `value_source`, but for a vector ``[D]`` that no layer brings (a bias). Where
        the sum is normalised, they are divided by its scale, which counts as given (Kobayashi et al. 2021,
        arXiv:2109.07152, section 3). None where a memory is no sum over layers.
        """
        return None


@dataclass(frozen=True)
class OutputContext:
    """The place an output fusion is built for."""

    d_model: int


class OutputFusion(nn.Module, ABC):
    """Changes the scores of the next token by what it finds in the source. Built as ``target(options, context)``."""

    log_probabilities: bool = False
    """Whether `combine` gives log-probabilities that are to be taken as they are: they need not sum to one, and neither
    the training loss nor beam search normalises them. If False it gives logits."""

    def __init__(self, options: Options, context: OutputContext) -> None:
        super().__init__()
        self.options = options
        self.context = context

    @abstractmethod
    def combine(
        self,
        logits: Tensor,
        *,
        decoder_states: Tensor,
        encoder_states: Tensor,
        source_embeddings: Tensor,
        visible: Tensor | None,
        feedforward: Transform,
        project: Transform,
    ) -> Tensor:
        """logits ``[..., V]`` -> scores ``[..., V]``.

        decoder_states ``[B, T, D]`` and encoder_states ``[B, S, D]`` are the tops of their stacks; source_embeddings
        ``[B, S, D]`` scaled token embeddings before positions and dropout; `visible`, broadcastable to ``[B, T, S]``,
        says which source tokens each target token may look at (None: all of them). `feedforward` is that of the last
        decoder layer, ``[B, T, D]`` to ``[B, T, D]``; `project` takes ``[B, T, D]`` to logits of the shape of
        `logits`, which is ``[M, V]`` in training: the M real target tokens only.
        """


@dataclass(frozen=True)
class Context:
    """States of a second source. A row without a real token is an example that has no context."""

    states: Tensor  # [B, C, D]
    mask: Tensor | None  # [B, C], True = real; None where all are

    def visible(self) -> Tensor | None:
        """What may be attended to, ``[B, C]``: of an empty row everything, as a softmax over nothing would be NaN."""
        return None if self.mask is None else self.mask | ~self.mask.any(-1, keepdim=True)  # [B, C]

    def where_present(self, mixed: Tensor, plain: Tensor) -> Tensor:
        """`mixed` ``[B, L, D]`` for examples that have a context, `plain` ``[B, L, D]`` for the others."""
        if self.mask is None:
            return mixed
        return torch.where(self.mask.any(-1)[:, None, None], mixed, plain)  # [B, L, D]


@dataclass(frozen=True)
class ContextPlace:
    """The place a context encoder is built for; the makers make the model's own kind of part.

    `make_attention` makes attention to a memory (`zoo.models.attention.CrossAttention`) for a layer of the cache; where
    nothing is cached, any number will do. `make_block` takes the number of sublayers.
    """

    d_model: int
    heads: int
    decoder_layers: int
    bias: bool
    dropout: float
    attention_dropout: float
    make_norm: MakeNorm
    make_attention: Callable[[int], nn.Module]
    make_feedforward: Callable[[], nn.Module]
    make_block: Callable[[int], Block]


class ContextEncoder(nn.Module):
    """Where the states of a second source enter the model. Built as ``target(options, place)``.

    The host reads the context (`zoo.spec.context.ContextOptions` say how) and hands its states to the component: to
    `merge` once a sentence, or to `attend` in every decoder layer.
    """

    where: Literal["encoder", "decoder"] = "encoder"
    """encoder: `merge` changes the encoder's output; decoder: each decoder layer attends to the context."""

    def __init__(self, options: ContextOptions, place: ContextPlace) -> None:
        super().__init__()
        self.options = options
        self.place = place

    def merge(self, states: Tensor, mask: Tensor | None, context: Context | None, backend: str) -> Tensor:
        """The encoder's output ``[B, S, D]``, its mask ``[B, S]`` (True = real) -> ``[B, S, D]``.

        `backend` is the model's attention backend, for `zoo.models.attention.view_of_memory`. An example without
        context, or all where `context` is None, must not depend on what stands in its place.
        """
        return states

    def attend(
        self, decoder_layer: int, x: Tensor, attended: Tensor, context: Context, backend: str, cache: Any
    ) -> Tensor:
        """What enters a decoder layer's cross-attention ``[B, T, D]`` and what this found in the source ``[B, T, D]``
        -> what both sources give ``[B, T, D]``. Where an example has no context that is `attended`.

        `cache` is the pass's EncoderDecoderCache or None; layers from `decoder_layers` on of its cross-attention are
        free for ``place.decoder_layers`` more (`zoo.models.attention.CrossAttention` keeps keys and values there).
        """
        return attended


def position_ids(mask: Tensor | None, length: int, *, device: torch.device, offset: int = 0) -> Tensor:
    """Positions of `length` tokens: ``[1, L]`` counting from `offset`, or ``[B, L]`` counting real tokens of `mask`.

    `mask` is ``[B, offset + L]`` (nonzero = real). Padding gets the position of the nearest real token before it
    (0 before the first), so that a left-padded sentence has the positions of its unpadded self.
    """
    if mask is None:
        return torch.arange(offset, offset + length, device=device)[None]  # [1, L]
    counted = mask.long().cumsum(-1).sub(1).clamp_min(0)  # [B, offset + L]
    return counted[:, offset : offset + length]  # [B, L]
