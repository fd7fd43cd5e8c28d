"""Images and the boxes in them: what a detector is trained on, and the batches that are made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo.errors import InputError
from zoo.tasks import Example, ImageSource
from zoo.training.data.batching import MicroBatch
from zoo.training.data.collate import Batch
from zoo.training.data.images import Grid, image_of
from zoo.training.data.ragged import Encoded, Indices, Offsets, Ragged, offsets_of


@dataclass(frozen=True, eq=False)
class EncodedDetections(Encoded):
    """Images, and the boxes to be found in each. Boxes around crowds that nobody counted are left out."""

    images: Sequence[ImageSource]
    cells: Offsets
    """``[N]``: cells of 16 x 16 pixels that each image takes."""
    columns: Offsets
    """``[N]``: how many columns they stand in."""
    targets: Ragged
    """The class of each box."""
    boxes: NDArray[np.float32]
    """Those of all images one behind the other, ``[boxes, 4]``: ``cx, cy, w, h`` as shares of the image."""
    dropped: int = 0
    contexts: None = None

    def read(self, indices: Indices) -> int:
        return int(self.cells[indices].sum())

    @property
    def sides(self) -> tuple[Ragged, ...]:
        return ()


def encoded_detections(examples: Sequence[Example], categories: Sequence[int], grid: Grid) -> EncodedDetections:
    """The examples with the number of each category's class, and their cells by `grid`.

    Raises InputError where an example has no image, a box's category is none of `categories`, or there is no example.
    """
    classes = {category: number for number, category in enumerate(categories)}
    images: list[ImageSource] = []
    ids: list[int] = []
    boxes: list[tuple[float, ...]] = []
    counts: list[int] = []
    grids: list[tuple[int, int]] = []
    for example in examples:
        image = image_of(example)
        height, width = image.size
        images.append(image)
        grids.append(grid(height, width))
        counted = [item for item in example.boxes if not item.crowd]
        counts.append(len(counted))
        for item in counted:
            if item.category not in classes:
                known = ", ".join(map(str, categories))
                raise InputError(f"example '{example.id}' has a box of the category {item.category}, not of {known}")
            x1, y1, x2, y2 = item.box
            ids.append(classes[item.category])
            boxes.append(((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height))
    if not images:
        raise InputError("the task has no examples to train on")
    targets = Ragged(np.array(ids, np.int32), offsets_of(np.array(counts, np.int64)))
    rows, columns = np.array(grids, np.int64).T  # [N] each
    return EncodedDetections(images, rows * columns, columns, targets, np.array(boxes, np.float32).reshape(-1, 4))


@dataclass(frozen=True, kw_only=True)
class DetectionBatch(Batch):
    """B images, padded to one size, with N boxes in all. `labels` ``[N]`` are their classes."""

    pixel_values: Tensor  # [B, 3, H, W]
    pixel_mask: Tensor  # [B, H, W], True = the image
    boxes: Tensor  # [N, 4], cx, cy, w, h as shares of the image
    counts: tuple[int, ...]
    """How many of them each image has, in order."""
    sizes: Tensor  # [B, 2], height and width in pixels as the model sees them

    def model_inputs(self) -> dict[str, Tensor]:
        return {"pixel_values": self.pixel_values, "pixel_mask": self.pixel_mask}

    def answers(self) -> list[dict[str, Tensor]]:
        """Labels as transformers' DETR has them, one mapping an image."""
        classes, boxes = (torch.split(item, list(self.counts)) for item in (self.labels, self.boxes))
        return [
            {"class_labels": labels, "boxes": there, "size": size}
            for labels, there, size in zip(classes, boxes, self.sizes, strict=True)
        ]


class DetectionCollator:
    """Makes batches: reads the images, and has the model's image processor fit and pad them.

    What is predicted is counted in images: the losses of a micro-batch are a mean, and weigh as much as it has images.
    """

    def __init__(self, examples: EncodedDetections, processor: Any) -> None:
        self._examples = examples
        self._processor = processor

    def predicted(self, indices: Indices) -> int:
        return len(indices)

    def __call__(self, examples: MicroBatch | Indices) -> DetectionBatch:
        indices = examples.indices if isinstance(examples, MicroBatch) else examples
        targets = self._examples.targets
        images = [self._examples.images[index].load() for index in indices.tolist()]
        made: Mapping[str, Tensor] = self._processor(images, return_tensors="pt")
        spans = [slice(targets.offsets[index], targets.offsets[index + 1]) for index in indices.tolist()]
        classes = np.concatenate([targets.ids[span] for span in spans])  # [N]
        boxes = np.concatenate([self._examples.boxes[span] for span in spans])  # [N, 4]
        mask = made["pixel_mask"]
        return DetectionBatch(
            pixel_values=made["pixel_values"],
            pixel_mask=mask,
            labels=torch.from_numpy(classes.astype(np.int64)),
            boxes=torch.from_numpy(boxes),
            counts=tuple(int(span.stop - span.start) for span in spans),
            sizes=torch.stack((mask.any(2).sum(1), mask.any(1).sum(1)), dim=1),
            real=None,
            target_tokens=len(images),
            source_tokens=self._examples.read(indices),
        )
