"""Disentangled attention (He et al. 2021, DeBERTa)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo.models.contracts import Bucket, KeyTable, Position, QueryTable, StackContext, Term
from zoo_positional.options import DebertaOptions

TERMS = 3
"""Content to content, content to position, position to content: the logits are divided by sqrt(3 Dh)."""


def delta(clip: int, *, causal: bool) -> Bucket:
    """Equation 3: ``i - j + k`` within [0, 2k - 1] for a query at i and a key at j.

    Where a query sees nothing after it, ``i - j`` within [0, k - 1]: a bucket of the second half of the table.
    """
    lowest = 0 if causal else -clip

    def bucket(q_positions: Tensor, k_positions: Tensor) -> Tensor:
        return (q_positions - k_positions).clamp(lowest, clip - 1) - lowest

    return bucket


class Deberta(Position):
    """``(Qc_i Kc_j + Qc_i Kr_d(i,j) + Kc_j Qr_d) / sqrt(3 Dh)``: equation 4 without the weights' bias.

    Kr and Qr are projected in each layer from one table of relative positions ``[2k, D]``. The third term is looked up
    at d(i, j), as the authors' code and transformers' DebertaModel do; equation 4 prints d(j, i), its mirror image.
    """

    shift_invariant = True
    content_dependent = True
    logit_scale = TERMS**-0.5
    options: DebertaOptions

    def __init__(self, options: DebertaOptions, context: StackContext) -> None:
        super().__init__(options, context)
        self.table = nn.Parameter(torch.empty(2 * options.clip, context.d_model))
        self.layers = nn.ModuleList(DebertaLayer(options, context, self) for _ in range(context.layers))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the table from N(0, 0.02^2)."""
        nn.init.normal_(self.table, std=0.02)

    def layer(self, index: int) -> Position:
        return self.layers[index]  # type: ignore[return-value]


class DebertaLayer(Position):
    """One layer's projections of the table, Xavier-uniform at first."""

    shift_invariant = True
    content_dependent = True
    logit_scale = TERMS**-0.5
    options: DebertaOptions

    def __init__(self, options: DebertaOptions, context: StackContext, owner: Deberta) -> None:
        super().__init__(options, context)
        # In a tuple the owner is no submodule: its table belongs to it alone.
        self._owner = (owner,)
        inner = context.heads * context.head_dim
        self.keys = nn.Linear(context.d_model, inner, bias=False)
        self.queries = nn.Linear(context.d_model, inner)
        for linear in (self.keys, self.queries):
            nn.init.xavier_uniform_(linear.weight)
        nn.init.zeros_(self.queries.bias)

    def score(self, q: Tensor | None, k: Tensor | None, q_positions: Tensor, k_positions: Tensor) -> tuple[Term, ...]:
        assert q is not None
        assert k is not None
        (owner,), clip, causal = self._owner, self.options.clip, self.context.causal
        bucket = delta(clip, causal=causal)
        # The distances that attention can see; copied, as a loaded table may begin anywhere in memory, and products
        # are rounded by where they begin.
        table = owner.table[clip:].clone() if causal else owner.table  # [N, D]
        keys, queries = self._heads(self.keys(table)), self._heads(self.queries(table))  # [H, N, Dh] each
        scaling = self.context.head_dim**-0.5 * self.logit_scale
        to_position = q @ keys.mT  # [B, H, Lq, N]; q comes scaled
        to_content = k @ (queries * scaling).mT  # [B, H, Lk, N]
        return QueryTable(to_position, bucket), KeyTable(to_content, bucket)

    def _heads(self, projected: Tensor) -> Tensor:
        return projected.unflatten(-1, (self.context.heads, self.context.head_dim)).transpose(0, 1)  # [H, N, Dh]
