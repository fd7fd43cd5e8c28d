"""Between images as data has them, uint8 ``[height, width, 3]``, and as generators do, -1 to 1 and channels first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

CHANNELS = 3


def as_pixels(images: Sequence[NDArray[np.uint8]]) -> Tensor:
    """float32 ``[B, 3, H, W]``, 0 to 255 -> -1 to 1."""
    stacked = torch.from_numpy(np.stack(images))  # [B, H, W, 3]
    return stacked.permute(0, 3, 1, 2).float().div(127.5).sub_(1)


def as_images(pixels: Tensor) -> list[NDArray[np.uint8]]:
    """The inverse, to the nearest number; values beyond -1..1 are cut."""
    scaled = pixels.float().clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)
    return list(scaled.permute(0, 2, 3, 1).contiguous().cpu().numpy())  # [B, H, W, 3]
