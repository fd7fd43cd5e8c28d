"""The two-dimensional relative bias of BEiT (Bao et al. 2022)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo.models.contracts import Bucket, Position, StaticTable, Term
from zoo.models.vision.contracts import PatchContext, PatchPosition, is_register, rows_and_columns
from zoo_vision.options import RelativeBias2dOptions


def distance_bucket(rows: int, columns: int) -> Bucket:
    """Buckets of the distances in rows and columns, clipped to ``rows - 1`` and ``columns - 1`` either way, and three
    behind them: from a register to a patch, from a patch to a register, between registers. As BEiT numbers them."""
    distances = (2 * rows - 1) * (2 * columns - 1)

    def bucket(q_places: Tensor, k_places: Tensor) -> Tensor:
        q_row, q_column = rows_and_columns(q_places)
        k_row, k_column = rows_and_columns(k_places)
        down = (q_row - k_row).clamp(1 - rows, rows - 1) + rows - 1
        right = (q_column - k_column).clamp(1 - columns, columns - 1) + columns - 1
        between = down * (2 * columns - 1) + right
        from_register, to_register = is_register(q_places), is_register(k_places)
        between = torch.where(from_register, distances, between)
        between = torch.where(to_register, distances + 1, between)
        return torch.where(from_register & to_register, distances + 2, between)

    return bucket


class RelativeBias2d(PatchPosition):
    """A trained bias on logits for each head and distance in rows and columns (BEiT, section 2.1; Swin, section 3.2).

    Registers stand nowhere: three biases of their own are for pairs with one, as with BEiT's class token. BEiT has a
    table for each layer or one for all, as `shared` says.
    """

    shift_invariant = True
    options: RelativeBias2dOptions

    def __init__(self, options: RelativeBias2dOptions, context: PatchContext) -> None:
        super().__init__(options, context)
        self.parts = nn.ModuleList(_Table(options, context) for _ in range(1 if options.shared else context.layers))

    def layer(self, index: int) -> Position:
        part = self.parts[0 if self.options.shared else index]
        assert isinstance(part, Position)
        return part


class _Table(PatchPosition):
    """The biases of one layer, ``[H, (2R - 1)(2C - 1) + 3]``."""

    options: RelativeBias2dOptions

    def __init__(self, options: RelativeBias2dOptions, context: PatchContext) -> None:
        super().__init__(options, context)
        distances = (2 * options.rows - 1) * (2 * options.columns - 1)
        self.table = nn.Parameter(torch.empty(context.heads, distances + 3))
        nn.init.normal_(self.table, std=options.std)
        self.bucket = distance_bucket(options.rows, options.columns)

    def score(self, q: Tensor | None, k: Tensor | None, q_positions: Tensor, k_positions: Tensor) -> tuple[Term, ...]:
        return (StaticTable(self.table, self.bucket),)
