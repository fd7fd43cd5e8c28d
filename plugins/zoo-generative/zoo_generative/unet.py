"""A small U-Net that knows how noisy its image is."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.models.generators.contracts import Shape
from zoo_generative.networks import channels, halvings

_GROUP = 8
"""Channels of a group are at least so many, where there are as many."""


class TimedResidual(nn.Module):
    """``[B, C, H, W]`` -> ``[B, C', H, W]``; a state of the time ``[B, E]`` is added in between."""

    def __init__(self, width: int, out: int, time: int) -> None:
        super().__init__()
        self.first_norm, self.second_norm = _norm(width), _norm(out)
        self.first = nn.Conv2d(width, out, 3, padding=1)
        self.second = nn.Conv2d(out, out, 3, padding=1)
        self.time = nn.Linear(time, out)
        self.shortcut = nn.Identity() if width == out else nn.Conv2d(width, out, 1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, states: Tensor, time: Tensor) -> Tensor:
        hidden = self.first(F.silu(self.first_norm(states))) + self.time(time)[..., None, None]
        changed: Tensor = self.shortcut(states) + self.second(F.silu(self.second_norm(hidden)))
        return changed


class UNet(nn.Module):
    """Images ``[B, C, H, W]`` and their times ``[B]`` -> ``[B, C, H, W]``, zero at first.

    After Ho et al. 2020, appendix B, without attention: residual blocks at each size on the way down, and as many on
    the way up, which also see what stood there on the way down. Times are told by sines as positions are; the finest
    tells times apart that differ by 1.
    """

    def __init__(self, shape: Shape, width: int, depth: int) -> None:
        super().__init__()
        levels = halvings(shape)
        self.width = width
        time = 4 * width
        self.time = nn.Sequential(nn.Linear(2 * width, time), nn.SiLU(), nn.Linear(time, time), nn.SiLU())
        self.first = nn.Conv2d(shape.channels, width, 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        here = width
        for level in range(levels + 1):
            out = channels(width, level)
            self.down.append(_blocks([here] + [out] * (depth - 1), out, time))
            here = out
        self.middle = _blocks([here], here, time)
        for level in range(levels, -1, -1):
            out = channels(width, level)
            self.up.append(_blocks([here + out] + [out] * (depth - 1), out, time))
            here = out
        self.norm = _norm(here)
        self.last = nn.Conv2d(here, shape.channels, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(self, images: Tensor, times: Tensor) -> Tensor:
        time = self.time(sines(times, 2 * self.width).to(images.dtype))  # [B, E]
        states = self.first(images)
        seen = []
        for level, blocks in enumerate(self.down):
            states = F.avg_pool2d(states, 2) if level else states  # [B, C, H / 2^level, W / 2^level]
            states = _through(blocks, states, time)
            seen.append(states)
        states = _through(self.middle, states, time)
        for level, blocks in enumerate(self.up):
            states = F.interpolate(states, scale_factor=2.0, mode="nearest") if level else states
            states = _through(blocks, torch.cat((states, seen.pop()), dim=1), time)
        made: Tensor = self.last(F.silu(self.norm(states)))
        return made


def sines(times: Tensor, width: int) -> Tensor:
    """``[B]`` -> ``[B, width]``, `width` even: sines and cosines of periods from 2 pi to 20,000 pi."""
    rates = torch.exp(-math.log(10_000) * torch.arange(width // 2, device=times.device) / max(1, width // 2 - 1))
    angles = times.float()[:, None] * rates  # [B, width / 2]
    return torch.cat((angles.sin(), angles.cos()), dim=1)


def _blocks(widths: list[int], out: int, time: int) -> nn.ModuleList:
    return nn.ModuleList(TimedResidual(width, out, time) for width in widths)


def _through(blocks: nn.Module, states: Tensor, time: Tensor) -> Tensor:
    assert isinstance(blocks, nn.ModuleList)
    for block in blocks:
        states = block(states, time)
    return states


def _norm(width: int) -> nn.GroupNorm:
    groups = max(1, width // _GROUP)
    while width % groups:
        groups -= 1
    return nn.GroupNorm(groups, width)
