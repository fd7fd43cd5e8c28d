"""Several position schemes used as one."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from zoo.models.contracts import AttentionStatistics, Position, StackContext, Term
from zoo.spec.options import Options


class Parts(Position):
    """Every hook of some schemes, one after the other; what they add to the logits adds up.

    Outputs are rotated back before anything else is added to them. Terms that look at the content see it rotated, so
    beside a rotation they depend on absolute positions. The parts are not registered as submodules: `Combined` holds
    them.
    """

    def __init__(self, options: Options, context: StackContext, parts: Sequence[Position]) -> None:
        super().__init__(options, context)
        self._combine(parts)

    def _combine(self, parts: Sequence[Position]) -> None:
        # Sums in sums are one: else an inner one would add its values before an outer rotation is undone.
        self.parts: tuple[Position, ...] = tuple(
            inner for part in parts for inner in (part.parts if isinstance(part, Parts) else (part,))
        )
        turning = [part for part in self.parts if _rotates(part)]
        self._outputs = (*reversed(turning), *(part for part in self.parts if not _rotates(part)))
        limits = [part.position_limit for part in self.parts if part.position_limit is not None]
        self.content_dependent = any(part.content_dependent for part in self.parts)
        self.needs_statistics = any(part.needs_statistics for part in self.parts)
        of_a_layer = [part.layer(0) for part in self.parts]
        rotated = any(_rotates(part) for part in of_a_layer)
        looks_at_rotated = rotated and any(part.content_dependent for part in of_a_layer)
        self.shift_invariant = all(part.shift_invariant for part in self.parts) and not looks_at_rotated
        self.logit_scale = math.prod(part.logit_scale for part in self.parts)
        self.position_limit = min(limits, default=None)

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        for part in self.parts:
            x = part.embed(x, positions)
        return x

    def inputs(self, x: Tensor, positions: Tensor) -> Tensor:
        for part in self.parts:
            x = part.inputs(x, positions)
        return x

    def rotate(
        self, q: Tensor, k: Tensor, v: Tensor, q_positions: Tensor, k_positions: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        for part in self.parts:
            q, k, v = part.rotate(q, k, v, q_positions, k_positions)
        return q, k, v

    def score(self, q: Tensor | None, k: Tensor | None, q_positions: Tensor, k_positions: Tensor) -> tuple[Term, ...]:
        terms: tuple[Term, ...] = ()
        for part in self.parts:
            query, key = (q, k) if part.content_dependent else (None, None)
            terms += part.score(query, key, q_positions, k_positions)
        return terms

    def output(self, o: Tensor, statistics: AttentionStatistics | None, q_positions: Tensor) -> Tensor:
        for part in self._outputs:
            o = part.output(o, statistics if part.needs_statistics else None, q_positions)
        return o


def _rotates(part: Position) -> bool:
    return type(part).rotate is not Position.rotate


class Combined(Parts):
    """Schemes of a stack used as one; in each layer, their parts of that layer."""

    def __init__(self, options: Options, context: StackContext, members: Sequence[Position]) -> None:
        super().__init__(options, context, members)
        self.members = nn.ModuleList(members)
        # Layers that share every member share the whole, so that the host computes its bias once a pass.
        self.of_layers = tuple(self._of_layer(index) for index in range(context.layers))

    def _of_layer(self, index: int) -> Position:
        parts = [member.layer(index) for member in self.parts]
        if all(part is member for part, member in zip(parts, self.parts, strict=True)):
            return self
        return Parts(self.options, self.context, parts)

    def layer(self, index: int) -> Position:
        return self.of_layers[index]
