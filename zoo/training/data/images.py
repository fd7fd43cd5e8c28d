"""Images and what is to be written of them: targets as ids, images as they are, to be read when a batch needs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from zoo.errors import InputError
from zoo.tasks import Example, ImageSource
from zoo.tasks.contracts import Progress, silent
from zoo.training.data.encoding import CHUNK, OpenSide, encode_texts, selected
from zoo.training.data.ragged import Encoded, Indices, Offsets, Ragged

Grid = Callable[[int, int], tuple[int, int]]
"""Rows and columns of patches of an image of this height and width: what an image processor answers."""


@dataclass(frozen=True, eq=False)
class EncodedImages(Encoded):
    """Images, and the ids of what is to be written of them."""

    images: Sequence[ImageSource]
    patches: Offsets
    """``[N]``: how many patches the model reads of each image."""
    columns: Offsets
    """``[N]``: how many columns these patches stand in."""
    largest: tuple[int, int]
    """The most rows of patches, and the most columns, that an image has."""
    targets: Ragged
    dropped: int
    """Examples left out because the target was longer than the bound."""
    contexts: None = None

    def read(self, indices: Indices) -> int:
        return int(self.patches[indices].sum())

    @property
    def sides(self) -> tuple[Ragged, ...]:
        return (self.targets,)


def write_images(
    tokenizer: Any,
    examples: Sequence[Example],
    max_tokens: int,
    begin: OpenSide,
    progress: Progress = silent,
    stage: str = "encoding",
) -> int:
    """Encode targets to the side ``target``, and to ``image`` for each of them the number of its example and the height
    and width of the image. Returns how many examples were left out: those whose target has more than `max_tokens`.

    Raises InputError where an example has no image, or nothing is left.
    """
    images, targets = begin("image"), begin("target")
    seen = kept = 0
    shortest: int | None = None
    walk = iter(examples)
    while chunk := list(islice(walk, CHUNK)):
        ids = encode_texts(tokenizer, [example.target for example in chunk])
        keep = ids.lengths <= max_tokens
        rows = [(seen + row, *image_of(example).size) for row, example in enumerate(chunk)]
        told = np.array(rows, np.int32)  # [N, 3]
        images.add(Ragged(told[keep].reshape(-1), np.arange(int(keep.sum()) + 1, dtype=np.int64) * told.shape[1]))
        targets.add(selected(ids, keep))
        shortest = int(min(ids.lengths.min(), ids.lengths[0] if shortest is None else shortest))
        seen, kept = seen + len(chunk), kept + int(keep.sum())
        progress(stage, seen, len(examples))
    if not kept:
        found = "there are none" if shortest is None else f"the shortest target of {seen} has {shortest}"
        raise InputError(f"training.max_tokens {max_tokens} leaves no example ({found})")
    return seen - kept


def images_of(examples: Sequence[Example], sides: Mapping[str, Ragged], grid: Grid, dropped: int) -> EncodedImages:
    """The images of `examples` with the sides that `write_images` made of them."""
    told = sides["image"].ids.reshape(-1, 3)  # [N, 3]
    given = [example.image for example in examples]
    images = [image for place in told[:, 0].tolist() if (image := given[place]) is not None]
    sizes, numbers = np.unique(told[:, 1:], axis=0, return_inverse=True)  # [K, 2]
    grids = np.array([grid(*size) for size in sizes.tolist()], np.int64)  # [K, 2]
    rows, columns = grids.max(axis=0).tolist()
    each = grids[numbers.reshape(-1)]  # [N, 2]
    return EncodedImages(images, each.prod(axis=1), each[:, 1], (rows, columns), sides["target"], dropped)


def frames_needed(targets: Ragged) -> Offsets:
    """``[N]``: the least frames in which CTC can write each target: one a token and one between two that are equal; the
    end token is not written."""
    starts = targets.offsets[:-1]
    repeated = np.zeros(len(targets.ids), np.int64)
    repeated[1:] = targets.ids[1:] == targets.ids[:-1]
    repeated[starts] = 0  # what stands before is of another target
    return targets.lengths - 1 + np.add.reduceat(repeated, starts)


def image_of(example: Example) -> ImageSource:
    """The image of an example. Raises InputError where it has none."""
    if example.image is None:
        raise InputError(f"example '{example.id}' has no image, and the model reads images")
    return example.image
