"""ZooForObjectDetection: a detector as one transformers model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.utils import ModelOutput

from zoo.models.base import refuse_other_architecture
from zoo.models.configuration import ZooConfig
from zoo.models.detection.contracts import Detector, Found, Labels
from zoo.models.detection.processor import ZooDetectionProcessor
from zoo.models.own_loss import OwnLossModel
from zoo.models.seeding import own_randomness


@dataclass
class DetectionOutput(ModelOutput):  # type: ignore[misc]
    """`loss` ``[]`` is the weighted sum of `losses`, where there are labels."""

    loss: Tensor | None = None
    losses: dict[str, Tensor] | None = None
    predictions: dict[str, Any] | None = None
    """What the detector itself understands."""


class ZooForObjectDetection(OwnLossModel):
    """A detector of the kind `detector`, which has losses of its own.

    It reads what `ZooDetectionProcessor` makes of images; `save_pretrained` writes that beside the model. The
    configuration has the classes' names in ``id2label``, and in ``categories`` the number of each in the data.
    """

    arrangement = "detections"
    who = "a detector"

    def __init__(self, config: ZooConfig) -> None:
        section = config.section()
        refuse_other_architecture(config, section, ("detector",), "AutoModelForObjectDetection")
        super().__init__(config)
        seed = int(torch.randint(2**62, (), device="cpu"))
        assert section.detector is not None  # the section has seen to it
        with own_randomness(seed, "detector"):
            self.detector: Detector = section.detector.create(len(self.categories))
        self.initialised()

    @property
    def categories(self) -> list[int]:
        """The number that the data have for each class."""
        return list(self.config.categories)

    @property
    def frame_multiple(self) -> int:
        """Both sides of what the detector is best given are whole multiples of so many pixels: those of its places too,
        where more padding changes nothing."""
        pixels = self.section.pixels
        assert pixels is not None
        return math.lcm(pixels.multiple, self.detector.stride) if self.detector.padding_invariant else pixels.multiple

    def processor(self) -> ZooDetectionProcessor:
        """What makes tensors of images for this model."""
        pixels = self.section.pixels
        assert pixels is not None
        return ZooDetectionProcessor.of(pixels)

    def save_pretrained(self, save_directory: Any, **kwargs: Any) -> Any:
        """As `ZooModel`'s, with the image processor beside the model."""
        saved = super().save_pretrained(save_directory, **kwargs)
        self.processor().save_pretrained(save_directory)
        return saved

    def source_of_length(self, tokens: int) -> dict[str, Tensor]:
        """An image of so many cells of 16 x 16 pixels beside each other."""
        shape = (1, 16, 16 * tokens)
        mask = torch.ones(shape, dtype=torch.bool, device=self.device)  # [1, 16, W]
        return {"pixel_values": torch.zeros(1, 3, *shape[1:], device=self.device), "pixel_mask": mask}

    def forward(
        self,
        pixel_values: Tensor,
        pixel_mask: Tensor | None = None,
        labels: Sequence[Labels] | None = None,
        num_items_in_batch: Tensor | int | None = None,
        return_dict: bool | None = None,
    ) -> DetectionOutput | tuple[Any, ...]:
        """Predictions for images ``[B, 3, H, W]``, of which `pixel_mask` ``[B, H, W]`` says what is no padding.

        `labels`, one mapping an image (see `zoo.models.detection.contracts.Labels`; where ``size`` is absent it is
        that of the mask), give the loss: a mean over the batch, or, with `num_items_in_batch` (images of a step), B
        times that over these.
        """
        if pixel_mask is None:
            pixel_mask = torch.ones_like(pixel_values[:, 0], dtype=torch.bool)  # [B, H, W]
        pixel_mask = pixel_mask.bool()
        pixel_values = pixel_values.to(self.dtype)
        if labels is None:
            predictions = dict(self.detector(pixel_values, pixel_mask))
            return self.returned(DetectionOutput(predictions=predictions), return_dict)  # type: ignore[no-any-return]
        given = [dict(item) for item in labels]
        for item, mask in zip(given, pixel_mask, strict=True):
            item.setdefault("size", torch.stack((mask.any(1).sum(), mask.any(0).sum())))
        told = {"labels": given} if self.detector.needs_labels else {}
        predictions = dict(self.detector(pixel_values, pixel_mask, **told))
        losses = dict(self.detector.losses(predictions, given))
        loss = self.weighed(losses, self.detector.weights, pixel_values, num_items_in_batch)
        output = DetectionOutput(loss=loss, losses=losses, predictions=predictions)
        return self.returned(output, return_dict)  # type: ignore[no-any-return]

    @torch.no_grad()
    def detect(self, pixel_values: Tensor, pixel_mask: Tensor) -> list[Found]:
        """What is found in each image, boxes cut to it."""
        predictions = self.detector(pixel_values.to(self.dtype), pixel_mask)
        return [Found(item.scores, item.labels, cut(item.boxes)) for item in self.detector.found(predictions)]


def cut(boxes: Tensor) -> Tensor:
    """``cx, cy, w, h`` ``[k, 4]`` cut to the unit square."""
    half = boxes[:, 2:].clamp(min=0) / 2
    low, high = (boxes[:, :2] - half).clamp(0, 1), (boxes[:, :2] + half).clamp(0, 1)
    return torch.cat(((low + high) / 2, high - low), dim=1)
