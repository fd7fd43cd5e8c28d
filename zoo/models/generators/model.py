"""ZooForImageGeneration: a generator of images as one transformers model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.utils import ModelOutput

from zoo.models.base import refuse_other_architecture
from zoo.models.configuration import ZooConfig
from zoo.models.generators.contracts import Generator, Shape
from zoo.models.generators.pixels import CHANNELS
from zoo.models.own_loss import OwnLossModel
from zoo.models.seeding import own_randomness


@dataclass
class GenerationOutput(ModelOutput):  # type: ignore[misc]
    """`loss` ``[]`` is the weighted sum of `losses`."""

    loss: Tensor | None = None
    losses: dict[str, Tensor] | None = None


class ZooForImageGeneration(OwnLossModel):
    """A generator of the kind `generator`, which has losses of its own.

    The configuration has the size of its images in ``image_size``: height and width.
    """

    arrangement = "pictures"
    who = "a generator"

    def __init__(self, config: ZooConfig) -> None:
        section = config.section()
        refuse_other_architecture(config, section, ("generator",), "ZooForImageGeneration")
        super().__init__(config)
        seed = int(torch.randint(2**62, (), device="cpu"))
        assert section.generator is not None  # the section has seen to it
        with own_randomness(seed, "generator"):
            self.generator: Generator = section.generator.create(self.shape)
        self.initialised()

    @property
    def shape(self) -> Shape:
        """The size of the images."""
        height, width = self.config.image_size
        return Shape(CHANNELS, int(height), int(width))

    def after_step(self, step: int) -> None:
        with torch.no_grad():
            self.generator.after_step(step)

    def forward(
        self,
        pixel_values: Tensor,
        labels: Any = None,
        num_items_in_batch: Tensor | int | None = None,
        return_dict: bool | None = None,
    ) -> GenerationOutput | tuple[Any, ...]:
        """Losses of real images ``[B, 3, H, W]``, from -1 to 1: a mean over the batch, or, with `num_items_in_batch`
        (images of a step), B times that over these. `labels` are not looked at.

        In evaluation mode noise is the same each time, and torch's generators are left as they were.
        """
        if self.training:
            losses = dict(self.generator.losses(pixel_values))
        else:
            with _same_noise(pixel_values.device):
                losses = dict(self.generator.losses(pixel_values))
        loss = self.weighed(losses, self.generator.weights, pixel_values, num_items_in_batch)
        return self.returned(GenerationOutput(loss=loss, losses=losses), return_dict)  # type: ignore[no-any-return]

    @torch.no_grad()
    def generate_images(self, count: int, seed: int) -> Tensor:
        """Images ``[count, 3, H, W]``, from -1 to 1, on the model's device; the same for a seed, count and device."""
        noise = torch.Generator(device=self.device).manual_seed(seed)
        return self.generator.generate(count, noise).clamp(-1, 1)


@contextmanager
def _same_noise(device: torch.device) -> Iterator[None]:
    """Within the block torch draws the same numbers on `device` each time; afterwards it goes on as before."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(0)
        yield
