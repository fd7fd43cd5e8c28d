"""What is asked of generators of images.

Images are ``[B, C, H, W]`` with values from -1 to 1, all of one size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from zoo.spec.options import Options


@dataclass(frozen=True)
class Shape:
    """The size of every image: a task's images have one."""

    channels: int
    height: int
    width: int


class Generator(nn.Module):
    """Built as ``target(options, shape)``: learns the distribution of images, and draws from it.

    What it draws in training, noise and noise levels, it draws from torch's generators of its device, which a run
    restores on resuming; what lasts from step to step (networks that follow others, counters) stands in parameters and
    persistent buffers, so that a checkpoint has it. Raises InputError for a shape that it cannot make.
    """

    def __init__(self, options: Options, shape: Shape) -> None:
        super().__init__()
        self.options = options
        self.shape = shape

    @property
    def weights(self) -> Mapping[str, float]:
        """What each of `losses` is multiplied by before they are added up; those not named here are only told."""
        raise NotImplementedError

    @property
    def evaluations(self) -> int:
        """How often a network is evaluated to make an image: each evaluation is of a batch at a time."""
        raise NotImplementedError

    @property
    def sampler(self) -> nn.Module:
        """The network that `generate` evaluates: what a model that only generates would need."""
        raise NotImplementedError

    def losses(self, images: Tensor) -> Mapping[str, Tensor]:
        """Of real images: scalars ``[]`` by name, each a mean over the batch.

        Players against each other have a loss each, whose gradient reaches no parameter of the other: one backward
        pass over their sum gives both theirs. Also called without gradients, for a development loss.
        """
        raise NotImplementedError

    def after_step(self, step: int) -> None:
        """Optimizer step `step`, counted from 1, is done: the place to let one network follow another."""

    def generate(self, count: int, generator: torch.Generator) -> Tensor:
        """Images ``[count, C, H, W]``, of noise from `generator` (of the module's device) and nothing else.

        The host asks in evaluation mode, without gradients, and cuts values to -1..1.
        """
        raise NotImplementedError
