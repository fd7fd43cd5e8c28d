"""The angles that sinusoidal and rotary positions share."""

from __future__ import annotations

import torch
from torch import Tensor


def angles(positions: Tensor, features: int, base: float) -> Tensor:
    """``positions / base^(2m/features)`` for m = 0 .. ceil(features/2) - 1 (Vaswani et al. 2017, section 3.5).

    positions ``[B or 1, L]`` -> ``[B or 1, L, ceil(features/2)]``.

    In float64, because an angle of thousands of radians has no fraction left in half precision and a poor one in
    float32. The frequencies are made anew on the device of the positions: a buffer of them would be rounded by
    ``model.half()`` and, kept out of the state dict, would be garbage after loading onto the meta device.
    """
    # MPS has no float64.
    dtype = torch.float32 if positions.device.type == "mps" else torch.float64
    exponents = torch.arange(0, features, 2, device=positions.device, dtype=dtype) / features  # [D/2]
    return positions.to(dtype)[..., None] / torch.pow(base, exponents)  # [B or 1, L, D/2]
