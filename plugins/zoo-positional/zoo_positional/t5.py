"""The bucketed relative bias of T5 (Raffel et al. 2020)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from zoo.errors import InputError
from zoo.models.contracts import Bucket, Position, StackContext, StaticTable, Term
from zoo_positional.options import T5Options


def logarithmic_bucket(buckets: int, max_distance: int, *, bidirectional: bool) -> Bucket:
    """Buckets in [0, `buckets`): one for each short distance, then ever wider ones up to `max_distance`.

    Bidirectional: the upper half is for keys after the query. Otherwise these share bucket 0. In float32, as T5 has
    it: at the edges of wide buckets another precision would round differently.
    """
    half = buckets // 2 if bidirectional else buckets
    exact = half // 2
    longest = math.log(max_distance / exact)

    def bucket(q_positions: Tensor, k_positions: Tensor) -> Tensor:
        distance = k_positions - q_positions
        if bidirectional:
            side, distance = (distance > 0).long() * half, distance.abs()
        else:
            side, distance = torch.zeros_like(distance), (-distance).clamp_min(0)
        wide = exact + ((distance.clamp_min(1).float() / exact).log() / longest * (half - exact)).long()
        return side + torch.where(distance < exact, distance, wide.clamp_max(half - 1))

    return bucket


class T5(Position):
    """A learned bias for each head and bucket of the distance, shared by the layers (section 2.1).

    Both directions in the encoder and in cross-attention, backwards only in the decoder's self-attention. T5 itself
    does not divide its logits by sqrt(Dh) (its initial weights do); this host does.
    """

    shift_invariant = True
    options: T5Options

    def __init__(self, options: T5Options, context: StackContext) -> None:
        super().__init__(options, context)
        exact = options.buckets // 2 if context.causal else options.buckets // 4
        if options.max_distance <= exact:
            raise InputError(
                f"t5 positions: max_distance must be more than the {exact} distances that have a bucket of their own, "
                f"found {options.max_distance}"
            )
        self.table = nn.Parameter(torch.empty(context.heads, options.buckets))
        self.bucket = logarithmic_bucket(options.buckets, options.max_distance, bidirectional=not context.causal)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the table from N(0, 1/D)."""
        nn.init.normal_(self.table, std=self.context.d_model**-0.5)

    def score(self, q: Tensor | None, k: Tensor | None, q_positions: Tensor, k_positions: Tensor) -> tuple[Term, ...]:
        return (StaticTable(self.table, self.bucket),)
