"""Consistency distillation: a student learns to say at once where a teacher's denoising ends."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.models.generators.contracts import Generator, Shape
from zoo.spec.options import Options
from zoo_generative.options import ConsistencyOptions
from zoo_generative.unet import UNet

Denoiser = Callable[[Tensor, Tensor], Tensor]
"""Images ``[B, C, H, W]`` and their noise levels ``[B]`` -> images without noise."""
_LOG_MEAN, _LOG_DEVIATION = -1.2, 1.2
"""Of the logarithm of the levels that the teacher is trained at (Karras et al. 2022, table 1)."""


def noise_levels(options: ConsistencyOptions) -> NDArray[np.float64]:
    """``[levels]``, from sigma_min to sigma_max, close together where they are low (Song et al. 2023, section 2)."""
    low, high = options.sigma_min ** (1 / options.rho), options.sigma_max ** (1 / options.rho)
    found: NDArray[np.float64] = np.linspace(low, high, options.levels) ** options.rho
    return found


class Scaled(nn.Module):
    """A network that is told its image and level in proportion, and adds its answer to the image in proportion.

    Karras et al. 2022, section 5: ``c_skip(s) x + c_out(s) F(c_in(s) x, ln(s) / 4)``. With `lowest`, the level at which
    the answer is the image itself, whatever the network says (Song et al. 2023, appendix C); for a denoiser it is 0.
    """

    def __init__(self, network: nn.Module, data: float, lowest: float = 0.0) -> None:
        super().__init__()
        self.network = network
        self.data, self.lowest = data, lowest

    def factors(self, levels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """c_skip, c_out and c_in, each ``[B, 1, 1, 1]``."""
        sigma = levels[:, None, None, None]
        total = (sigma**2 + self.data**2).sqrt()
        beyond = sigma - self.lowest
        skip = self.data**2 / (beyond**2 + self.data**2)
        return skip, self.data * beyond / total, 1 / total

    def answer(self, images: Tensor, levels: Tensor) -> Tensor:
        """What the network itself says, of about unit variance."""
        _, _, into = self.factors(levels)
        said: Tensor = self.network(into * images, 250 * levels.log())  # a thousand times ln(s) / 4
        return said

    def forward(self, images: Tensor, levels: Tensor) -> Tensor:
        skip, out, _ = self.factors(levels)
        return skip * images + out * self.answer(images, levels)


def denoising_loss(denoiser: Scaled, images: Tensor, levels: Tensor, noise: Tensor) -> Tensor:
    """``[]``: the squared error of denoised images, weighed by ``1 / c_out^2`` (Karras et al. 2022, equation 8)."""
    noisy = images + levels[:, None, None, None] * noise
    skip, out, _ = denoiser.factors(levels)
    return F.mse_loss(denoiser.answer(noisy, levels).float(), ((images - skip * noisy) / out).float())


def solved(denoiser: Denoiser, noisy: Tensor, level: Tensor, below: Tensor, solver: str) -> Tensor:
    """An image at `level` ``[B]`` as the probability-flow equation ``dx/ds = (x - D(x, s)) / s`` has it at the lower
    level `below` ``[B]``: by one step of Euler's method or of Heun's."""
    at, to = level[:, None, None, None], below[:, None, None, None]
    slope = (noisy - denoiser(noisy, level)) / at
    found = noisy + (to - at) * slope
    if solver == "euler":
        return found
    second = (found - denoiser(found, below)) / to
    return noisy + (to - at) * (slope + second) / 2


class Consistency(Generator):
    """Song et al. 2023, algorithm 2: the student's answers at neighbouring levels of one path of the teacher's should
    be the same. It is compared to an average of itself (`target`), begins as the teacher, and weighs all levels alike.

    The teacher, a denoiser after Karras et al. 2022, is trained for the first `teacher_steps` of a run; then it rests.
    """

    options: ConsistencyOptions

    def __init__(self, options: Options, shape: Shape) -> None:
        super().__init__(options, shape)
        made = self.options
        self.teacher = Scaled(UNet(shape, made.width, made.depth), made.sigma_data)
        self.student = Scaled(copy.deepcopy(self.teacher.network), made.sigma_data, made.sigma_min)
        self.target = Scaled(copy.deepcopy(self.teacher.network), made.sigma_data, made.sigma_min).requires_grad_(False)
        self.steps_done: Tensor
        self.register_buffer("steps_done", torch.zeros((), dtype=torch.int64))
        self._levels = noise_levels(made)

    @property
    def weights(self) -> Mapping[str, float]:
        return {"denoising": 1.0, "consistency": 1.0}

    @property
    def evaluations(self) -> int:
        return self.options.sampling_steps

    @property
    def sampler(self) -> nn.Module:
        return self.student

    def losses(self, images: Tensor) -> Mapping[str, Tensor]:
        """`denoising` of the teacher, while it is trained, then `consistency` of the student; the other one is 0."""
        nothing = images.new_zeros(())
        if int(self.steps_done) < self.options.teacher_steps:
            return {"denoising": self._denoising(images), "consistency": nothing}
        return {"denoising": nothing, "consistency": self._consistency(images)}

    def _denoising(self, images: Tensor) -> Tensor:
        drawn = torch.randn(len(images), device=images.device, dtype=images.dtype)  # [B]
        levels = (_LOG_MEAN + _LOG_DEVIATION * drawn).exp()
        return denoising_loss(self.teacher, images, levels, torch.randn_like(images))

    def _consistency(self, images: Tensor) -> Tensor:
        number = torch.randint(self.options.levels - 1, (len(images),), device=images.device)  # [B]
        table = torch.as_tensor(self._levels, dtype=images.dtype, device=images.device)
        below, level = table[number], table[number + 1]
        noisy = images + level[:, None, None, None] * torch.randn_like(images)
        with torch.no_grad():
            lower = solved(self.teacher, noisy, level, below, self.options.solver)
            aim = self.target(lower, below)
        distance = F.mse_loss if self.options.distance == "l2" else F.l1_loss
        return distance(self.student(noisy, level).float(), aim.float())

    def after_step(self, step: int) -> None:
        self.steps_done.fill_(step)
        if step == self.options.teacher_steps:
            self.student.load_state_dict(self.teacher.state_dict())
            self.target.load_state_dict(self.teacher.state_dict())
        elif step > self.options.teacher_steps:
            for followed, item in zip(self.student.parameters(), self.target.parameters(), strict=True):
                item.lerp_(followed.detach(), 1 - self.options.target_decay)

    def generate(self, count: int, generator: torch.Generator) -> Tensor:
        """Song et al. 2023, algorithm 1, through levels that are spread evenly among those of training."""
        like = next(self.student.parameters())
        size = (count, self.shape.channels, self.shape.height, self.shape.width)

        def fresh() -> Tensor:
            return torch.randn(size, generator=generator, device=like.device, dtype=like.dtype)

        chosen = np.round(np.linspace(self.options.levels - 1, 0, self.options.sampling_steps + 1)).astype(int)[:-1]
        images = torch.zeros(size, device=like.device, dtype=like.dtype)
        for level in self._levels[chosen].tolist():
            added = math.sqrt(level**2 - self.options.sigma_min**2) if level < self._levels[-1] else level
            noisy = images + added * fresh()
            images = self.student(noisy, torch.full((count,), level, device=like.device, dtype=like.dtype))
        return images
