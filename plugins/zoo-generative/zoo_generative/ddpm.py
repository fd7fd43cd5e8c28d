"""Denoising diffusion: a network learns to tell the noise in an image, and images are made by taking it away."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.models.generators.contracts import Generator, Shape
from zoo.spec.options import Options
from zoo_generative.options import DdpmOptions
from zoo_generative.unet import UNet


def signal_shares(steps: int, betas: str) -> NDArray[np.float64]:
    """``[steps]``: alpha-bar, the share of an image's variance that is left at each level, the least noisy first.

    `linear`: variances from 1e-4 to 0.02 (Ho et al. 2020, section 4), times 1000 / steps, so that the last level is as
    noisy for any number; `cosine`: Nichol & Dhariwal 2021, equation 17. No variance is above 0.999.
    """
    if betas == "linear":
        variances = np.linspace(1e-4, 0.02, steps) * 1000 / steps
    else:
        at = (np.arange(steps + 1) / steps + 0.008) / 1.008
        left = np.cos(at * math.pi / 2) ** 2
        variances = 1 - left[1:] / left[:-1]
    kept: NDArray[np.float64] = np.cumprod(1 - np.minimum(variances, 0.999))
    return kept


def levels_of(steps: int, count: int) -> list[int]:
    """`count` of the levels 0 to steps - 1, spread evenly, the last one among them; the noisiest first."""
    return [int(level) for level in np.round(np.linspace(steps - 1, 0, count))]


def step_down(noisy: Tensor, image: Tensor, share: float, next_share: float, eta: float) -> tuple[Tensor, float]:
    """Mean ``[...]`` and standard deviation of an image at a less noisy level (Song et al. 2021, equations 12 and 16).

    `noisy` is the image at the level where `share` of its variance is left, `image` what is taken for the image without
    noise, `next_share` that of the next level (1: no noise). With eta = 1 this is the posterior of Ho et al. 2020,
    equations 6 and 7.
    """
    noise = (noisy - math.sqrt(share) * image) / math.sqrt(1 - share)
    deviation = eta * math.sqrt((1 - next_share) / (1 - share) * (1 - share / next_share))
    mean = math.sqrt(next_share) * image + math.sqrt(max(0.0, 1 - next_share - deviation**2)) * noise
    return mean, deviation


class Ddpm(Generator):
    """Ho et al. 2020 with the simplified loss (equation 14): the mean squared error of the predicted noise, at levels
    that are drawn evenly."""

    options: DdpmOptions

    def __init__(self, options: Options, shape: Shape) -> None:
        super().__init__(options, shape)
        self.network = UNet(shape, self.options.width, self.options.depth)
        self._shares = signal_shares(self.options.steps, self.options.betas)

    @property
    def weights(self) -> Mapping[str, float]:
        return {"noise": 1.0}

    @property
    def evaluations(self) -> int:
        return self.options.sampling_steps or self.options.steps

    @property
    def sampler(self) -> nn.Module:
        return self.network

    def losses(self, images: Tensor) -> Mapping[str, Tensor]:
        levels = torch.randint(self.options.steps, (len(images),), device=images.device)  # [B]
        shares = torch.as_tensor(self._shares, dtype=images.dtype, device=levels.device)[levels]  # [B]
        noise = torch.randn_like(images)
        kept, added = shares.sqrt()[:, None, None, None], (1 - shares).sqrt()[:, None, None, None]
        predicted = self.network(kept * images + added * noise, levels)  # [B, C, H, W]
        return {"noise": F.mse_loss(predicted.float(), noise.float())}

    def generate(self, count: int, generator: torch.Generator) -> Tensor:
        levels = levels_of(self.options.steps, self.evaluations)
        like = next(self.parameters())
        size = (count, self.shape.channels, self.shape.height, self.shape.width)

        def fresh() -> Tensor:
            return torch.randn(size, generator=generator, device=like.device, dtype=like.dtype)

        states = fresh()
        for level, below in zip(levels, [*levels[1:], None], strict=True):
            share = float(self._shares[level])
            next_share = 1.0 if below is None else float(self._shares[below])
            times = torch.full((count,), level, device=like.device)
            image = (states - math.sqrt(1 - share) * self.network(states, times)) / math.sqrt(share)
            image = image.clamp(-1, 1) if self.options.clip else image
            states, deviation = step_down(states, image, share, next_share, self.options.eta)
            if deviation:
                states = states + deviation * fresh()
        return states
