"""The two players: convolutions and residuals alone, without normalisation.

As R3GAN has it (arXiv:2501.05441, section 3): residual blocks whose last convolution begins at zero (Fixup) keep both
networks stable, so that nothing in them depends on the other images of a batch. As nothing else sets the scale either,
every other layer begins such that it leaves the variance as it is.
"""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional as F

from zoo.errors import InputError
from zoo.models.generators.contracts import Shape

_SLOPE = 0.2
_SMALLEST = 4


def halvings(shape: Shape) -> int:
    """How often images are halved until a side is 4 pixels, or 5 to 7. Raises InputError where they cannot be so often,
    or are smaller."""
    shorter = min(shape.height, shape.width)
    count = int(math.log2(max(1, shorter // _SMALLEST)))
    step = 2**count
    if shorter < _SMALLEST or shape.height % step or shape.width % step:
        raise InputError(
            f"images of {shape.height} x {shape.width} pixels: expected sides of at least {_SMALLEST} that are "
            f"multiples of {step}"
        )
    return count


def channels(width: int, level: int) -> int:
    """Channels of the features that are halved `level` times."""
    return int(width * min(2**level, 4))


def even(layer: nn.Conv2d | nn.Linear) -> nn.Conv2d | nn.Linear:
    """The layer, whose outputs have at first the variance of its inputs: weights N(0, 1 / fan-in), no bias.

    With torch's own weights it would be a third, layer after layer: of the noise little is left in the first images,
    which are then nearly the same, and the players begin as far from covering the data as can be.
    """
    nn.init.normal_(layer.weight, std=layer.weight[0].numel() ** -0.5)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


class Residual(nn.Module):
    """``[B, C, H, W]`` -> the same shape; the identity at first."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.kaiming_normal_(self.first.weight, a=_SLOPE)
        nn.init.zeros_(self.second.weight)
        for convolution in (self.first, self.second):
            nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]

    def forward(self, states: Tensor) -> Tensor:
        hidden = self.first(F.leaky_relu(states, _SLOPE))
        changed: Tensor = states + self.second(F.leaky_relu(hidden, _SLOPE))
        return changed


class Maker(nn.Module):
    """Noise ``[B, latent]`` -> images ``[B, C, H, W]``, where -1 to 1 is meant, and nothing keeps them there.

    Older networks end in a hyperbolic tangent. Its slope is nothing at the bounds: images that lie there, as dark ones
    do, are a place that a maker does not come back from. R3GAN's has none either.
    """

    def __init__(self, shape: Shape, width: int, depth: int, latent: int) -> None:
        super().__init__()
        levels = halvings(shape)
        self.start = (channels(width, levels), shape.height >> levels, shape.width >> levels)
        self.first = even(nn.Linear(latent, math.prod(self.start)))
        self.levels = nn.ModuleList()
        for level in range(levels, 0, -1):
            above, below = channels(width, level), channels(width, level - 1)
            self.levels.append(
                nn.Sequential(
                    *(Residual(above) for _ in range(depth)),
                    even(nn.Conv2d(above, below, 1)),
                    nn.Upsample(scale_factor=2, mode="bilinear"),
                )
            )
        self.last = nn.Sequential(
            *(Residual(width) for _ in range(depth)), even(nn.Conv2d(width, shape.channels, 3, padding=1))
        )

    def forward(self, noise: Tensor) -> Tensor:
        states = self.first(noise).unflatten(1, self.start)  # [B, C, h, w]
        for level in self.levels:
            states = level(states)  # twice as high and wide
        images: Tensor = self.last(states)
        return images


class Judge(nn.Module):
    """Images ``[B, C, H, W]`` -> how real they seem ``[B]``, a number without bounds."""

    def __init__(self, shape: Shape, width: int, depth: int) -> None:
        super().__init__()
        levels = halvings(shape)
        layers: list[nn.Module] = [even(nn.Conv2d(shape.channels, width, 3, padding=1))]
        for level in range(levels):
            layers += [Residual(channels(width, level)) for _ in range(depth)]
            layers += [even(nn.Conv2d(channels(width, level), channels(width, level + 1), 1)), nn.AvgPool2d(2)]
        layers += [Residual(channels(width, levels)) for _ in range(depth)]
        cells = (shape.height >> levels) * (shape.width >> levels)
        self.features = nn.Sequential(*layers)
        self.last = even(nn.Linear(channels(width, levels) * cells, 1))

    def forward(self, images: Tensor) -> Tensor:
        states = F.leaky_relu(self.features(images), _SLOPE)  # [B, C, h, w]
        scores: Tensor = self.last(states.flatten(1))[:, 0]  # [B]
        return scores
