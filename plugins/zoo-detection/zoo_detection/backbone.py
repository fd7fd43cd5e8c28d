"""Plain convolutions over images that are padded: the padding stays 0, so that it changes nothing.

Features are normalised over the channels of each place (Ba et al. 2016, as ConvNeXt has it), not over a batch's images
and places: what is found in an image depends neither on the images beside it nor on their padding.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.modeling_layers import GradientCheckpointingLayer

STRIDES = (4, 8, 16, 32, 64)


class PlaceNorm(nn.Module):
    """Normalises ``[B, C, h, w]`` over the channels of each place."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        last = x.permute(0, 2, 3, 1)  # [B, h, w, C]
        return F.layer_norm(last, last.shape[-1:], self.weight, self.bias).permute(0, 3, 1, 2)  # [B, C, h, w]


class ConvBlock(GradientCheckpointingLayer):  # type: ignore[misc]
    """A 3 x 3 convolution, normalised, with SiLU unless told otherwise.

    With `training.gradient_checkpointing` it keeps its input alone, and is computed again in the backward pass.
    """

    def __init__(self, into: int, out: int, stride: int = 1, *, activation: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(into, out, 3, stride, 1, bias=False)
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")
        self.norm = PlaceNorm(out)
        self.activation = activation

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        """``[B, C, h, w]``, and which places of the result are of the image, ``[B, 1, h', w']`` of 0 and 1."""
        x = self.norm(self.conv(x))
        return (F.silu(x) if self.activation else x) * real.to(x.dtype)


class Residual(nn.Module):
    """Two convolutions around which the input goes on (He et al. 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvBlock(channels, channels)
        self.second = ConvBlock(channels, channels, activation=False)

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        return F.silu(x + self.second(self.first(x, real), real)) * real.to(x.dtype)


class Stage(nn.Module):
    """Half the resolution, then residual blocks."""

    def __init__(self, into: int, out: int, depth: int) -> None:
        super().__init__()
        self.down = ConvBlock(into, out, 2)
        self.blocks = nn.ModuleList(Residual(out) for _ in range(depth))

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        x = self.down(x, real)
        for block in self.blocks:
            x = block(x, real)
        return x


class Backbone(nn.Module):
    """Feature maps at strides 4, 8, ... to the last that is asked for.

    `channels` are those of each stride of `STRIDES` that there is.
    """

    def __init__(self, width: int, depth: int, last: int) -> None:
        super().__init__()
        strides = [stride for stride in STRIDES if stride <= last]
        self.channels = {stride: width * min(stride // 4, 8) for stride in strides}
        self.stem = ConvBlock(3, width, 2)
        made: list[Stage] = []
        into = width
        for stride in strides:
            made.append(Stage(into, self.channels[stride], depth))
            into = self.channels[stride]
        self.stages = nn.ModuleList(made)
        self.last = last

    def forward(self, pixel_values: Tensor, pixel_mask: Tensor) -> dict[int, tuple[Tensor, Tensor]]:
        """pixel_values ``[B, 3, H, W]``, pixel_mask ``[B, H, W]`` bool -> by stride: features ``[B, C, h, w]``, and
        which of their places hold a pixel of the image, ``[B, 1, h, w]`` of 0 and 1.

        Images are padded to whole multiples of the last stride.
        """
        height, width = pixel_values.shape[-2:]
        padding = (0, -width % self.last, 0, -height % self.last)
        real = F.pad(pixel_mask[:, None].float(), padding)  # [B, 1, H', W']
        x = F.pad(pixel_values, padding) * real.to(pixel_values.dtype)
        found: dict[int, tuple[Tensor, Tensor]] = {}
        real = F.max_pool2d(real, 2)
        x = self.stem(x, real)
        for stride, stage in zip(self.channels, self.stages, strict=True):
            real = F.max_pool2d(real, 2)
            x = stage(x, real)
            found[stride] = (x, real)
        return found


class Pyramid(nn.Module):
    """A feature pyramid: maps of one width, each with what the coarser ones know (Lin et al. 2017)."""

    def __init__(self, channels: dict[int, int], levels: Sequence[int], width: int) -> None:
        super().__init__()
        self.levels = [stride for stride in channels if stride >= min(levels)]
        self.wanted = list(levels)
        self.lateral = nn.ModuleList(nn.Conv2d(channels[stride], width, 1) for stride in self.levels)
        self.smooth = nn.ModuleList(ConvBlock(width, width) for _ in levels)

    def forward(self, maps: dict[int, tuple[Tensor, Tensor]]) -> list[tuple[Tensor, Tensor]]:
        """Maps by stride, the coarsest among them -> for each level features ``[B, width, h, w]`` and their places."""
        merged: dict[int, Tensor] = {}
        coarser: Tensor | None = None
        for stride, lateral in reversed(list(zip(self.levels, self.lateral, strict=True))):
            features, real = maps[stride]
            here = lateral(features)
            if coarser is not None:
                here = here + F.interpolate(coarser, scale_factor=2.0, mode="nearest")
            coarser = merged[stride] = here * real.to(here.dtype)
        return [
            (smooth(merged[stride], maps[stride][1]), maps[stride][1])
            for stride, smooth in zip(self.wanted, self.smooth, strict=True)
        ]
