"""Positions as fractions of an image's sides, so that images of any size share one scale (NaViT, section 2.1)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from zoo.models.vision.contracts import PatchContext, PatchPosition
from zoo_vision.options import FractionalFourierOptions, FractionalLearnedOptions


def fractions(positions: Tensor) -> Tensor:
    """Centres of patches as fractions of the sides: positions ``[B, N, 4]`` -> ``[B, N, 2]`` in 0..1, float32."""
    return (positions[..., :2].float() + 0.5) / positions[..., 2:].float()


class FractionalLearned(PatchPosition):
    """A trained curve along each side, read at the patch's fraction; the two vectors are added up.

    The curve is linear between ``entries`` evenly spaced vectors, whose first and last stand half a step from the
    edges, beyond which it is level.
    """

    options: FractionalLearnedOptions

    def __init__(self, options: FractionalLearnedOptions, context: PatchContext) -> None:
        super().__init__(options, context)
        self.rows = nn.Parameter(torch.empty(options.entries, context.d_model))
        self.columns = nn.Parameter(torch.empty(options.entries, context.d_model))
        for table in (self.rows, self.columns):
            nn.init.normal_(table, std=options.std)

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        last = self.options.entries - 1
        at = (fractions(positions) * self.options.entries - 0.5).clamp(0, last)  # [B, N, 2]
        lower = at.floor().clamp_max(last - 1)
        share = (at - lower)[..., None].to(self.rows.dtype)  # [B, N, 2, 1]
        index = lower.long()
        for axis, table in enumerate((self.rows, self.columns)):
            below, above = table[index[..., axis]], table[index[..., axis] + 1]  # [B, N, D] each
            x = x + (below + (above - below) * share[:, :, axis]).to(x.dtype)
        return x


class FractionalFourier(PatchPosition):
    """Sines and cosines of the patch's fractions through a trained matrix (NaViT; features as in Perceiver).

    Frequencies are evenly spaced from 1 to `bandwidth` cycles over a side. The matrix starts so that what is added has
    the standard deviation `std`.
    """

    options: FractionalFourierOptions

    def __init__(self, options: FractionalFourierOptions, context: PatchContext) -> None:
        super().__init__(options, context)
        self.projection = nn.Linear(4 * options.frequencies, context.d_model, bias=False)
        # Sine and cosine of one angle have squares that add up to one: 2 F angles, of F frequencies along two sides.
        nn.init.normal_(self.projection.weight, std=options.std / math.sqrt(2 * options.frequencies))

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        cycles = torch.linspace(1.0, self.options.bandwidth, self.options.frequencies, device=x.device)  # [F]
        if self.options.frequencies == 1:
            cycles = cycles * self.options.bandwidth
        angles = 2 * math.pi * fractions(positions)[..., None] * cycles  # [B, N, 2, F]
        features = torch.cat((angles.sin(), angles.cos()), dim=-1).flatten(-2)  # [B, N, 4F]
        projected: Tensor = self.projection(features.to(self.projection.weight.dtype))  # [B, N, D]
        return x + projected.to(x.dtype)
