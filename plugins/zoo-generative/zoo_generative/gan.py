"""Generators that learn against a second network, which tells their images from real ones.

Both players' gradients are taken at the same weights, in one step of one optimizer (simultaneous gradient descent): the
judge's loss sees the maker's images detached, the maker's loss sees the judge with its weights held fixed. The papers
let the two take turns, each step seeing the other's newest weights.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from zoo.models.generators.contracts import Generator, Shape
from zoo.spec.options import Options
from zoo_generative.networks import Judge, Maker
from zoo_generative.options import NsganOptions, R3ganOptions


class Gan(Generator):
    """Two players. `judge` scores images: the higher, the more real they seem to it."""

    options: NsganOptions | R3ganOptions

    def __init__(self, options: Options, shape: Shape) -> None:
        super().__init__(options, shape)
        self.maker = Maker(shape, self.options.width, self.options.depth, self.options.latent)
        self.judge = Judge(shape, self.options.width, self.options.depth)

    @abstractmethod
    def judges_loss(self, real: Tensor, made: Tensor) -> Tensor:
        """``[]``, of the scores ``[B]`` of real images and of those that are made."""

    @abstractmethod
    def makers_loss(self, real: Tensor, made: Tensor) -> Tensor:
        """``[]``, of the same scores."""

    @property
    def weights(self) -> Mapping[str, float]:
        penalties = {"r1": self.options.r1 / 2, "r2": self.options.r2 / 2}
        return {"judge": 1.0, "maker": 1.0, **{name: weight for name, weight in penalties.items() if weight}}

    @property
    def evaluations(self) -> int:
        return 1

    @property
    def sampler(self) -> nn.Module:
        return self.maker

    def losses(self, images: Tensor) -> Mapping[str, Tensor]:
        """`judge` and `maker`, and of the penalties `r1` and `r2` those that weigh anything, unweighed."""
        made = self.maker(self._noise(len(images), images))  # [B, C, H, W]
        found = {}
        scores = {}
        for name, some, kind in (("r1", images, "real"), ("r2", made, "made")):
            if name in self.weights:
                scores[kind], found[name] = penalised(self.judge, some)
            else:
                scores[kind] = self.judge(some.detach())  # [B]
        found["judge"] = self.judges_loss(scores["real"], scores["made"])
        held = {name: item.detach() for name, item in self.judge.named_parameters()}
        found["maker"] = self.makers_loss(scores["real"].detach(), functional_call(self.judge, held, (made,)))
        return found

    def generate(self, count: int, generator: torch.Generator) -> Tensor:
        like = next(self.parameters())
        noise = torch.randn(count, self.options.latent, generator=generator, device=like.device, dtype=like.dtype)
        images: Tensor = self.maker(noise)
        return images

    def _noise(self, count: int, like: Tensor) -> Tensor:
        return torch.randn(count, self.options.latent, device=like.device, dtype=like.dtype)


class Nsgan(Gan):
    """The non-saturating game (Goodfellow et al. 2014, section 3): with s the sigmoid, the judge minimises
    ``-ln s(D(x)) - ln(1 - s(D(G(z))))``, the maker ``-ln s(D(G(z)))``."""

    options: NsganOptions

    def judges_loss(self, real: Tensor, made: Tensor) -> Tensor:
        return F.softplus(-real).mean() + F.softplus(made).mean()

    def makers_loss(self, real: Tensor, made: Tensor) -> Tensor:
        return F.softplus(-made).mean()


class R3gan(Gan):
    """The relativistic pairing game with zero-centred penalties at real and at made images (Huang et al. 2025,
    section 2): with pairs of a real and a made image, the judge minimises ``softplus(D(G(z)) - D(x))``, the maker
    ``softplus(D(x) - D(G(z)))``, and the judge also ``gamma / 2`` times the mean squared norm of its gradient at both.
    """

    options: R3ganOptions

    def judges_loss(self, real: Tensor, made: Tensor) -> Tensor:
        return F.softplus(made - real).mean()

    def makers_loss(self, real: Tensor, made: Tensor) -> Tensor:
        return F.softplus(real - made).mean()


def penalised(judge: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """The scores ``[B]`` of images, and the mean squared norm ``[]`` of the judge's gradient at them, which can itself
    be differentiated by the judge's weights (Mescheder et al. 2018, equation 9). Nothing flows back to the images."""
    training = torch.is_grad_enabled()
    with torch.enable_grad():
        points = images.detach().requires_grad_()
        scores = judge(points)  # [B]
        (slopes,) = torch.autograd.grad(scores.sum(), points, create_graph=training)  # [B, C, H, W]
    return scores if training else scores.detach(), slopes.flatten(1).square().sum(1).mean()
