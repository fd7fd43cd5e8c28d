"""Shifted absolute position embeddings (Kiyono et al. 2021)."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.models.contracts import StackContext
from zoo_positional.options import ShapeOptions
from zoo_positional.sinusoidal import Sinusoidal


class Shape(Sinusoidal):
    """``P[i + k]`` added to x_i, with one k for each sequence, drawn in training from {0, ..., K - 1} (section 3).

    Each stack draws its own: source and target are moved independently. In a packed row every segment is a sequence
    and draws its own; it begins where positions begin anew, at 0 or by going back. Outside training k is
    ``evaluation_offset``, the same at every step of decoding.
    """

    options: ShapeOptions

    def __init__(self, options: ShapeOptions, context: StackContext) -> None:
        super().__init__(options, context)

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        if not self.training:
            return super().embed(x, positions + self.options.evaluation_offset)
        positions = positions.expand(x.shape[0], -1)  # [B, L]
        begins = positions == 0
        begins[:, 1:] |= positions[:, 1:] < positions[:, :-1]
        begins[:, :1] = True
        segment = begins.long().cumsum(-1) - 1  # [B, L], from 0
        drawn = torch.randint(self.options.max_offset, positions.shape, device=positions.device)  # [B, L], one to spare
        return super().embed(x, positions + drawn.gather(1, segment))
