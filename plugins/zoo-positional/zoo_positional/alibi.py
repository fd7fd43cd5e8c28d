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


_MARIAN_STEEP, _MARIAN_FLAT = 4, 0.05
"""How many heads have slopes 2, 1, 1/2, ..., and the slope of the others."""
_MARIAN_SHIFTED = 8
"""How many heads have a shift."""
_MARIAN_CROSS_SLOPE, _MARIAN_CROSS_SHIFT = 0.1, 0.3
"""Those of every head in cross-attention."""
_MARIAN_EXPONENT = 8.0
"""Steepness of the slopes in causal self-attention."""


def marian_slopes(heads: int, *, causal: bool = False, device: torch.device | None = None) -> Tensor:
    """The initial slopes of Marian's ``--alibi`` in self-attention, ``[H]``: 2, 1, 1/2, 1/4, then 1/20.

    In `causal` self-attention they are the paper's, 2^(-8 h/H), whether or not H is a power of two.
    """
    head = torch.arange(heads, device=device)
    if causal:
        return torch.pow(2.0, (head + 1).float() * (-_MARIAN_EXPONENT / heads))  # [H]
    steep = torch.pow(2.0, 1.0 - head.float())  # [H]
    return torch.where(head < _MARIAN_STEEP, steep, _MARIAN_FLAT)


def shifts(heads: int, *, device: torch.device | None = None) -> Tensor:
    """The shifts of Marian's ``--alibi`` in an encoder's self-attention, ``[H]``: +1, -2, +3, ..., -8, then 0."""
    head = torch.arange(heads, device=device)
    signed = (head + 1) * (1 - 2 * (head % 2))  # [H]
    return torch.where(head < _MARIAN_SHIFTED, signed, 0).float()


def shifted_penalty(parameters: tuple[Tensor, ...], q_positions: Tensor, k_positions: Tensor) -> Tensor:
    """``-slope * |j - i + shift|``."""
    slope, shift = parameters
    return -slope * (k_positions - q_positions + shift).abs()


def distance_penalty(parameters: tuple[Tensor, ...], q_positions: Tensor, k_positions: Tensor) -> Tensor:
    """``-slope * |i - j|``."""
    (slope,) = parameters
    return -slope * (q_positions - k_positions).abs()


class Alibi(Position):
    """``logits[h, i, j] - slope_h |i - j|`` (section 3).

    In a causal decoder this is the paper's scheme. In an encoder it is its symmetric form, under which a sentence
    and its reverse look alike: the encoder is exactly equivariant to reversal.

    The asymmetric shape is that of Marian's ``--alibi`` (src/layers_new/alibi.h of marian-dev),
    ``-slope_h |j - i + b_h|``: each head looks most at its own distance, -b_h. In cross-attention b_h is 0.3 for every
    head, and Marian's slope 0.1. Causal self-attention has but one direction: there b_h is 0, the paper's scheme.
    """

    shift_invariant = True
    options: AlibiOptions

    def __init__(self, options: AlibiOptions, context: StackContext) -> None:
        super().__init__(options, context)

    def score(self, q: Tensor | None, k: Tensor | None, q_positions: Tensor, k_positions: Tensor) -> tuple[Term, ...]:
        slope = self._slopes(q_positions.device)  # [H]
        if self.options.shape == "symmetric" or self.context.causal:
            return (Formula(slope[:, None], distance_penalty),)
        if self.context.cross:
            shift = torch.full_like(slope, _MARIAN_CROSS_SHIFT)  # [H]
        else:
            shift = shifts(self.context.heads, device=q_positions.device)  # [H]
        return (Formula(torch.stack((slope, shift), dim=-1), shifted_penalty),)

    def _slopes(self, device: torch.device) -> Tensor:
        heads = self.context.heads
        if self.options.slopes == "geometric":
            return slopes(heads, self.options.exponent, device=device)
        if self.context.cross:
            return torch.full((heads,), _MARIAN_CROSS_SLOPE, device=device)
        return marian_slopes(heads, causal=self.context.causal, device=device)
