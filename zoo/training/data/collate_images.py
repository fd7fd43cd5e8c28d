"""From example indices to patches and targets."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from zoo.images.patches import PATCHES
from zoo.models.vision.packing import pack
from zoo.training.data.batching import MicroBatch
from zoo.training.data.collate import IGNORED, Batch, Rows
from zoo.training.data.images import EncodedImages
from zoo.training.data.ragged import Indices


@dataclass(frozen=True, kw_only=True)
class ImageBatch(Batch):
    """Images as patches, and targets: M images in B rows, each of its own or, packed, several in a row.

    Targets have a row for each image either way, in the order of the images.
    """

    pixel_values: Tensor  # [B, N, C * Ph * Pw]
    patch_mask: Tensor  # [B, N], True where a patch has a real pixel
    patch_positions: Tensor  # [B, N, 2], row and column
    patch_grid: Tensor  # [B, N, 2], rows and columns of the patch's image
    segments: Tensor | None = None  # [B, N], packed rows: image 1, 2, ... of the row, 0 = padding
    decoder_input_ids: Tensor | None = None  # [M, T], the targets moved right by one; None where there is no decoder

    def model_inputs(self) -> dict[str, Tensor]:
        named = {name: getattr(self, name) for name in (*PATCHES, "segments", "decoder_input_ids")}
        return {name: value for name, value in named.items() if value is not None}


class ImageCollator:
    """Makes batches of encoded images: reads them, and has the model's image processor cut them into patches.

    `start_id` begins a target for the decoder; None where the model has none.
    """

    def __init__(self, examples: EncodedImages, processor: Any, *, pad_id: int, start_id: int | None) -> None:
        self._examples = examples
        self._processor = processor
        self._pad_id = pad_id
        self._start_id = start_id

    def predicted(self, indices: Indices) -> int:
        return int(self._examples.targets.lengths_of(indices).sum())

    def __call__(self, examples: MicroBatch | Indices) -> ImageBatch:
        chosen = examples if isinstance(examples, MicroBatch) else MicroBatch(examples)
        targets = Rows.of(self._examples.targets, MicroBatch(chosen.indices))
        images = [self._examples.images[index].load() for index in chosen.indices.tolist()]
        patches: Mapping[str, Tensor] = self._processor(images, return_tensors="pt")
        if chosen.rows is not None:
            ends = chosen.rows.tolist()
            patches = pack(patches, [range(start, end) for start, end in itertools.pairwise(ends)])
        return ImageBatch(
            **patches,
            decoder_input_ids=None if self._start_id is None else targets.shifted(self._start_id, self._pad_id),
            labels=targets.filled(targets.tokens, IGNORED),
            real=None if targets.full else torch.from_numpy(targets.places),
            target_tokens=len(targets.tokens),
            source_tokens=self._examples.read(chosen.indices),
            examples=targets.numbers(),
        )
