"""Rotary positions on queries and keys (Su et al. 2021), and on values (arXiv:2606.11275)."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.errors import InputError
from zoo.models.contracts import AttentionStatistics, Position, StackContext
from zoo_positional.angles import angles
from zoo_positional.options import RotaryOptions


class Rotary(Position):
    """Feature pair m of a query or key at position i is turned by ``i / base^(2m/Dh)`` (section 3.2.2).

    A product of a query and a key then depends on their distance only. Layouts differ by a permutation of features.

    With `values` values are turned too: ``o_i = sum_j alpha_ij R_j v_j``, which depends on absolute positions, or, with
    the inverse rotation of the output, ``o_i = R_-i sum_j alpha_ij R_j v_j``, which depends on distances only.
    """

    options: RotaryOptions

    def __init__(self, options: RotaryOptions, context: StackContext) -> None:
        super().__init__(options, context)
        self.shift_invariant = options.values != "rotate"
        if context.head_dim % 2:
            raise InputError(
                f"rotary positions turn pairs of features: d_model / heads must be even, found {context.head_dim}"
            )
        # The cosines and sines of the pass under way. A plain attribute, so that no state dict, dtype cast or
        # device move sees it; `embed`, called once a pass, replaces it.
        self._turn_of_pass: tuple[Tensor, Tensor, Tensor] | None = None

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        cosine, sine = self._turn(positions)
        self._turn_of_pass = (positions, cosine, sine)
        return x

    def rotate(
        self, q: Tensor, k: Tensor, v: Tensor, q_positions: Tensor, k_positions: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        turn = self._turn_at(q_positions)
        turn_of_keys = turn if k_positions is q_positions else self._turn_at(k_positions)
        if self.options.values != "none":
            v = self._rotated(v, turn_of_keys)
        return self._rotated(q, turn), self._rotated(k, turn_of_keys), v

    def output(self, o: Tensor, statistics: AttentionStatistics | None, q_positions: Tensor) -> Tensor:
        if self.options.values != "inverse":
            return o
        cosine, sine = self._turn_at(q_positions)
        return self._rotated(o, (cosine, -sine))

    def _turn(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """positions ``[B or 1, L]`` -> cosine and sine ``[B or 1, 1, L, Dh/2]``, float32."""
        turned = angles(positions, self.context.head_dim, self.options.base)[:, None]  # [B or 1, 1, L, Dh/2]
        return turned.cos().float(), turned.sin().float()

    def _turn_at(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        # Read once: another thread may be running another pass.
        remembered = self._turn_of_pass
        if remembered is not None and remembered[0] is positions:
            return remembered[1], remembered[2]
        return self._turn(positions)

    def _rotated(self, x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
        """x ``[B, H, L, Dh]`` turned in float32, in its own dtype."""
        cosine, sine = turn
        if self.options.layout == "half-split":
            first, second = x.chunk(2, dim=-1)  # [B, H, L, Dh/2] each
        else:
            first, second = x[..., 0::2], x[..., 1::2]  # [B, H, L, Dh/2] each
        pair = (first * cosine - second * sine, second * cosine + first * sine)
        if self.options.layout == "half-split":
            return torch.cat(pair, dim=-1).to(x.dtype)  # [B, H, L, Dh]
        return torch.stack(pair, dim=-1).flatten(-2).to(x.dtype)  # [B, H, L, Dh]
