"""Sinusoidal positions (Vaswani et al. 2017)."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.models.contracts import Position, StackContext
from zoo_positional.angles import angles
from zoo_positional.options import SinusoidalOptions


class Sinusoidal(Position):
    """``P[i, 2m] = sin(i / base^(2m/D))``, ``P[i, 2m+1] = cos(i / base^(2m/D))`` added to x (section 3.5).

    In layout ``halves`` the same columns stand sines first, which is the table of transformers' MarianMTModel.
    fairseq's and Marian's own C++ table has another spacing, base^(m/(D/2 - 1)), and is not this one.
    Computed for any position: there is no table to run out of.
    """

    options: SinusoidalOptions

    def __init__(self, options: SinusoidalOptions, context: StackContext) -> None:
        super().__init__(options, context)

    def encode(self, positions: Tensor) -> Tensor:
        """positions ``[B or 1, L]`` -> their vectors ``[B or 1, L, D]``, float32."""
        width = self.context.d_model
        turned = angles(positions, width, self.options.base)  # [B or 1, L, ceil(D/2)]
        sine, cosine = turned.sin().float(), turned.cos().float()
        if self.options.layout == "halves":
            # An odd width has one sine more than cosines.
            return torch.cat((sine, cosine[..., : width // 2]), dim=-1)  # [B or 1, L, D]
        return torch.stack((sine, cosine), dim=-1).flatten(-2)[..., :width]  # [B or 1, L, D]

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        # Added in float32 and rounded once.
        return (x + self.encode(positions)).to(x.dtype)
