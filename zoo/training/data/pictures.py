"""Images alone: what a generator learns from, and the batches that are made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from zoo.errors import InputError
from zoo.models.generators.pixels import as_pixels
from zoo.tasks import Example, ImageSource
from zoo.training.data.batching import MicroBatch
from zoo.training.data.collate import Batch
from zoo.training.data.images import image_of
from zoo.training.data.ragged import Encoded, Indices, Offsets, Ragged


@dataclass(frozen=True, eq=False)
class EncodedPictures(Encoded):
    """Images of one size; nothing is to be written of them."""

    images: Sequence[ImageSource]
    targets: Ragged
    """An empty one for each image."""
    dropped: int = 0
    contexts: None = None

    @property
    def ones(self) -> Offsets:
        """``[N]``: every image is as long as any other."""
        return np.ones(len(self), np.int64)

    def read(self, indices: Indices) -> int:
        return len(indices)

    @property
    def sides(self) -> tuple[Ragged, ...]:
        return ()


def encoded_pictures(examples: Sequence[Example], size: tuple[int, int]) -> EncodedPictures:
    """The images of the examples. Raises InputError where one has none, or one of another size (height, width), or
    there is no example."""
    images = []
    for example in examples:
        image = image_of(example)
        if tuple(image.size) != size:
            (h, w), (height, width) = image.size, size
            raise InputError(
                f"a generator makes images of one size, but the example '{example.id}' is of {h} x {w} pixels, and the "
                f"first of training is of {height} x {width}"
            )
        images.append(image)
    if not images:
        raise InputError("the task has no examples to train on")
    return EncodedPictures(images, Ragged(np.zeros(0, np.int32), np.zeros(len(images) + 1, np.int64)))


@dataclass(frozen=True, kw_only=True)
class PictureBatch(Batch):
    """B images. There are no `labels`: ``[B, 0]``."""

    pixel_values: Tensor  # [B, 3, H, W], -1 to 1

    def model_inputs(self) -> dict[str, Tensor]:
        return {"pixel_values": self.pixel_values}


class PictureCollator:
    """Makes batches: reads the images.

    What is predicted is counted in images: the losses of a micro-batch are a mean, and weigh as much as it has images.
    """

    def __init__(self, examples: EncodedPictures) -> None:
        self._examples = examples

    def predicted(self, indices: Indices) -> int:
        return len(indices)

    def __call__(self, examples: MicroBatch | Indices) -> PictureBatch:
        indices = examples.indices if isinstance(examples, MicroBatch) else examples
        return PictureBatch(
            pixel_values=as_pixels([self._examples.images[index].load() for index in indices.tolist()]),
            labels=torch.zeros(len(indices), 0, dtype=torch.int64),
            real=None,
            target_tokens=len(indices),
            source_tokens=len(indices),
        )
