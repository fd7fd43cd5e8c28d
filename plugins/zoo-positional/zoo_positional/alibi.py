"""Attention with linear biases (Press et al. 2022)."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.models.contracts import Formula, Position, StackContext, Term
from zoo_positional.options import AlibiOptions


def slopes(heads: int, exponent: float = 8.0, *, device: torch.device | None = None) -> Tensor:
    """The slope of each head ``[H]``, float32 (section 3; the authors' rule where H is no power of two).

    For n = 2^floor(log2 H), the first n heads get 2^(-E h/n), h = 1..n; the others take every second slope, from
    the first, of the sequence for 2n heads. Made on the device: a table copied there would wait for it.
    """
    whole = 2 ** (heads.bit_length() - 1)
    geometric = torch.arange(1, whole + 1, device=device, dtype=torch.float64) / whole  # [n]
    between = (2 * torch.arange(heads - whole, device=device, dtype=torch.float64) + 1) / (2 * whole)  # [H - n]
    return torch.pow(2.0, -exponent * torch.cat((geometric, between))).float()  # [H]


def distance_penalty(parameters: tuple[Tensor, ...], q_positions: Tensor, k_positions: Tensor) -> Tensor:
    """``-slope * |i - j|``."""
    (slope,) = parameters
    return -slope * (q_positions - k_positions).abs()


class Alibi(Position):
    """``logits[h, i, j] - slope_h |i - j|`` (section 3).

    In a causal decoder this is the paper's scheme. In an encoder it is its symmetric form, under which a sentence
    and its reverse look alike: the encoder is exactly equivariant to reversal.
    """

    shift_invariant = True
    options: AlibiOptions

    def __init__(self, options: AlibiOptions, context: StackContext) -> None:
        super().__init__(options, context)

    def score(self, q: Tensor | None, k: Tensor | None, q_positions: Tensor, k_positions: Tensor) -> tuple[Term, ...]:
        slope = slopes(self.context.heads, self.options.exponent, device=q_positions.device)  # [H]
        return (Formula(slope[:, None], distance_penalty),)
