"""Rotary positions in two dimensions."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.errors import InputError
from zoo.models.vision.contracts import PatchContext, PatchPosition, rows_and_columns
from zoo_vision.options import Rotary2dOptions


class Rotary2d(PatchPosition):
    """Half of a head's features is turned by the row, half by the column (axial, Heo et al. 2024, section 3.2).

    In each half, feature pair m of Dh/4 is turned by ``index / base^(4m/Dh)``; a pair is m and m + Dh/4. A product of a
    query and a key then depends on their distances in rows and columns only. Registers are not turned (as in DINOv3,
    Siméoni et al. 2025), so that between a register and a patch it depends on where the patch stands.
    """

    options: Rotary2dOptions

    def __init__(self, options: Rotary2dOptions, context: PatchContext) -> None:
        super().__init__(options, context)
        self.shift_invariant = not context.registers
        if context.head_dim % 4:
            raise InputError(
                "rotary-2d turns pairs of features along two axes: d_model / heads must be divisible by 4, found "
                f"{context.head_dim}"
            )

    def rotate(
        self, q: Tensor, k: Tensor, v: Tensor, q_positions: Tensor, k_positions: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        turn = self._turn(q_positions)
        return _turned(q, turn), _turned(k, turn if k_positions is q_positions else self._turn(k_positions)), v

    def _turn(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """places ``[B or 1, L]`` -> cosine and sine ``[B or 1, 1, L, 2, Dh/4]``, float32. A register's angle is 0."""
        # In float64, which MPS has not: a large index has no fraction left in half precision.
        dtype = torch.float32 if places.device.type == "mps" else torch.float64
        pairs = self.context.head_dim // 4
        exponents = torch.arange(pairs, device=places.device, dtype=dtype) / pairs  # [Dh/4]
        index = torch.stack(rows_and_columns(places), dim=-1).to(dtype)  # [B or 1, L, 2]
        angle = (index[..., None] / torch.pow(self.options.base, exponents))[:, None]  # [B or 1, 1, L, 2, Dh/4]
        return angle.cos().float(), angle.sin().float()


def _turned(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """x ``[B, H, L, Dh]`` turned in float32, in its own dtype."""
    cosine, sine = turn
    first, second = x.reshape(*x.shape[:-1], 2, 2, -1).unbind(-2)  # [B, H, L, 2, Dh/4] each: by axis
    pair = (first * cosine - second * sine, second * cosine + first * sine)
    return torch.stack(pair, dim=-2).flatten(-3).to(x.dtype)  # [B, H, L, Dh]
