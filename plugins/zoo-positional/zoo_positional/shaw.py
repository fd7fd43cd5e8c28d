"""Relative position representations (Shaw et al. 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo.models.contracts import AttentionStatistics, Position, QueryTable, StackContext, Term
from zoo_positional.clipped import clipped_distance
from zoo_positional.options import ShawOptions


class Shaw(Position):
    """A vector for each clipped distance beside every key and, with `values`, beside every value (section 3.1).

    ``e_ij = q_i (k_j + aK[clip(j - i)]) / sqrt(Dh)`` and ``o_i = sum_j alpha_ij (v_j + aV[clip(j - i)])``: equations 4
    and 3. Tables ``[2k + 1, Dh]`` are shared by the heads, and separate for each layer and for keys and values.
    """

    shift_invariant = True
    options: ShawOptions

    def __init__(self, options: ShawOptions, context: StackContext) -> None:
        super().__init__(options, context)
        self.layers = nn.ModuleList(ShawLayer(options, context) for _ in range(context.layers))

    def layer(self, index: int) -> Position:
        return self.layers[index]  # type: ignore[return-value]


class ShawLayer(Position):
    """The tables of one layer, Xavier-uniform at first."""

    shift_invariant = True
    content_dependent = True
    options: ShawOptions

    def __init__(self, options: ShawOptions, context: StackContext) -> None:
        super().__init__(options, context)
        self.needs_statistics = options.values
        size = (2 * options.clip + 1, context.head_dim)
        self.keys = nn.Parameter(torch.empty(size))
        self.values = nn.Parameter(torch.empty(size)) if options.values else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw both tables."""
        nn.init.xavier_uniform_(self.keys)
        if self.values is not None:
            nn.init.xavier_uniform_(self.values)

    def score(self, q: Tensor | None, k: Tensor | None, q_positions: Tensor, k_positions: Tensor) -> tuple[Term, ...]:
        assert q is not None
        # q comes scaled, so the bias is too.
        return (QueryTable(q @ self.keys.T, clipped_distance(self.options.clip)),)  # table [B, H, Lq, 2k + 1]

    def output(self, o: Tensor, statistics: AttentionStatistics | None, q_positions: Tensor) -> Tensor:
        if self.values is None:
            return o
        assert statistics is not None
        masses = statistics.distance_masses(self.options.clip)  # [B, H, Lq, 2k + 1]
        return o + (masses @ self.values.to(masses.dtype)).to(o.dtype)  # [B, H, Lq, Dh]
