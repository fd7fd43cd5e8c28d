"""Components that exist only to test the host: each lowers through a path that the first-party ones do not take."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo.models.contracts import (
    AttentionStatistics,
    Dense,
    Fusion,
    FusionContext,
    Initialization,
    InitializationContext,
    KeyTable,
    Matrix,
    Memory,
    Position,
    QueryTable,
    StackContext,
    StaticTable,
    Term,
)
from zoo.spec.options import Options

REACH = 2


def clipped_distance(q: Tensor, k: Tensor) -> Tensor:
    """Bucket of ``j - i`` clipped to +-REACH, in [0, 2 REACH]."""
    return (k - q).clamp(-REACH, REACH) + REACH


class SharedTable(Position):
    """A learned bias per head and clipped distance, shared by the layers."""

    shift_invariant = True

    def __init__(self, options: Options, context: StackContext) -> None:
        super().__init__(options, context)
        self.table = nn.Parameter(torch.randn(context.heads, 2 * REACH + 1))
        self.register_buffer("unsaved", torch.arange(2.0 * REACH + 1), persistent=False)

    def score(self, q: Tensor | None, k: Tensor | None, q_positions: Tensor, k_positions: Tensor) -> tuple[Term, ...]:
        # The buffer is 0, 1, 2, ...: a model that loses it computes something else.
        return (StaticTable(self.table + self.unsaved.mul(0.1), clipped_distance),)


class LayerTables(Position):
    """The same with a table per layer."""

    shift_invariant = True

    def __init__(self, options: Options, context: StackContext) -> None:
        super().__init__(options, context)
        self.parts = nn.ModuleList(SharedTable(options, context) for _ in range(context.layers))

    def layer(self, index: int) -> Position:
        return self.parts[index]


class ShawBothSides(Position):
    """Shaw et al. 2018, equations 3 and 4: vectors aK on the key side and aV on the value side, per layer."""

    content_dependent = True
    needs_statistics = True
    shift_invariant = True

    def __init__(self, options: Options, context: StackContext, *, part: bool = False) -> None:
        super().__init__(options, context)
        if part:
            self.keys = nn.Parameter(torch.randn(2 * REACH + 1, context.head_dim))
            self.values = nn.Parameter(torch.randn(2 * REACH + 1, context.head_dim))
        else:
            self.parts = nn.ModuleList(ShawBothSides(options, context, part=True) for _ in range(context.layers))

    def layer(self, index: int) -> Position:
        return self.parts[index]

    def score(self, q: Tensor | None, k: Tensor | None, q_positions: Tensor, k_positions: Tensor) -> tuple[Term, ...]:
        assert q is not None
        return (QueryTable(q @ self.keys.T, clipped_distance),)  # [B, H, Lq, N]

    def output(self, o: Tensor, statistics: AttentionStatistics | None, q_positions: Tensor) -> Tensor:
        assert statistics is not None
        bucket = clipped_distance(q_positions[:, :, None], statistics.k_positions[:, None])  # [B or 1, Lq, Lk]
        logits = statistics.query @ statistics.key.transpose(-1, -2)  # [B, H, Lq, Lk]
        own = statistics.query @ self.keys.T  # [B, H, Lq, N]
        logits = logits + own.gather(-1, bucket[:, None].expand_as(logits))
        p = (logits - statistics.log_sum_exp[..., None]).exp()
        if statistics.visible is not None:
            p = p.masked_fill(~statistics.visible, 0.0)
        values = self.values[bucket].expand(p.shape[0], -1, -1, -1)  # [B, Lq, Lk, Dh]
        return o + torch.einsum("bhij,bijd->bhid", p.to(o.dtype), values)


class KeySide(Position):
    """A bias by key content and distance (KeyTable), and a written-out one (Dense)."""

    content_dependent = True
    shift_invariant = True

    def __init__(self, options: Options, context: StackContext) -> None:
        super().__init__(options, context)
        self.vectors = nn.Parameter(torch.randn(2 * REACH + 1, context.head_dim))

    def score(self, q: Tensor | None, k: Tensor | None, q_positions: Tensor, k_positions: Tensor) -> tuple[Term, ...]:
        assert k is not None
        distance = (k_positions[:, None, None] - q_positions[:, None, :, None]).float()  # [B or 1, 1, Lq, Lk]
        return KeyTable(k @ self.vectors.T, clipped_distance), Dense(distance.mul(-0.3).abs().neg())


class WeightedLayers(Fusion):
    """A free weight per encoder output and decoder layer; values from the embeddings; hides the first source token."""

    def __init__(self, options: Options, context: FusionContext) -> None:
        super().__init__(options, context)
        self.weight = nn.Parameter(torch.randn(context.decoder_layers, context.encoder_layers + 1))

    def memory(self, layer_states: Tensor, mask: Tensor | None, decoder_layer: int) -> Memory:
        mixed = torch.einsum("l,blsd->bsd", self.weight[decoder_layer], layer_states)  # [B, S, D]
        real = layer_states.new_ones(mixed.shape[:2], dtype=torch.bool) if mask is None else mask.clone()
        real[:, 0] = False
        return Memory(mixed, layer_states[:, 0], real)


class LeaveMatrices(Initialization):
    """Looks at nothing and changes nothing."""

    def initialize(self, matrix: Matrix, context: InitializationContext) -> None:
        pass


class MarkMatrices(Initialization):
    """Fills each matrix with what the host said of it, as a number."""

    ROLES = ("query", "key", "value", "attention-output", "feedforward")

    def initialize(self, matrix: Matrix, context: InitializationContext) -> None:
        mark = 1000 * context.layer + 100 * ("self", "cross", None).index(matrix.attention)
        matrix.weight.fill_(mark + self.ROLES.index(matrix.role))
        assert (context.side, context.encoder_layers, context.decoder_layers) in {("encoder", 2, 3), ("decoder", 2, 3)}
        assert context.layers == {"encoder": 2, "decoder": 3}[context.side]
        assert matrix.weight.shape[1] == context.d_model or matrix.name == "feedforward.down"
