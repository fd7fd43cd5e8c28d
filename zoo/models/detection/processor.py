"""The image processor of detectors: uint8 images to the tensors that they read, saved beside the model."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from transformers import BatchFeature
from transformers.image_processing_utils import BaseImageProcessor

from zoo.errors import InputError, did_you_mean
from zoo.images.framing import FrameMaker
from zoo.spec.pixel_section import PixelSection

_ASKED = ("images", "return_tensors")


class ZooDetectionProcessor(BaseImageProcessor):  # type: ignore[misc]
    """Fits images into the frame of a pixel section and pads them, at the bottom and on the right, to one size."""

    model_input_names = ["pixel_values", "pixel_mask"]  # noqa: RUF012 - transformers' own habit

    def __init__(self, pixels: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        """`pixels` is the section as plain data. Raises pydantic's ValidationError where it is none."""
        super().__init__(**{name: item for name, item in kwargs.items() if name != "image_processor_type"})
        self.pixels = copy.deepcopy(dict(pixels or {}))
        self._maker = FrameMaker(PixelSection.model_validate(self.pixels))

    @classmethod
    def of(cls, section: PixelSection) -> ZooDetectionProcessor:
        """The processor of a section."""
        return cls(section.plain())

    def to_dict(self) -> dict[str, Any]:
        """What is saved."""
        return {"pixels": copy.deepcopy(self.pixels), "image_processor_type": type(self).__name__}

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.pixels,)

    def size_of(self, height: int, width: int) -> tuple[int, int]:
        """Height and width that an image of `height` x `width` pixels is resized to."""
        return self._maker.size_of(height, width)

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of cells of 16 x 16 pixels that such an image takes: what a batch is filled by."""
        return self._maker.grid(height, width)

    def preprocess(self, images: Any, return_tensors: Any = None, **kwargs: Any) -> BatchFeature:
        """``pixel_values`` ``[B, 3, H, W]`` float32 and ``pixel_mask`` ``[B, H, W]`` bool of one image or a list.

        Images are uint8 ``[height, width, 3]`` or ``[height, width]``, or Pillow's. Raises InputError for what is none,
        for none at all, and for any other keyword: what is done to images is the section's to say.
        """
        for name in kwargs:
            raise InputError(f"the image processor has no keyword '{name}': {did_you_mean(name, _ASKED)}")
        many = isinstance(images, Sequence) or (isinstance(images, np.ndarray) and images.ndim == 4)
        made = self._maker.batch(images if many else [images])
        tensors = {name: torch.from_numpy(array) for name, array in made.items()}
        return BatchFeature(tensors, tensor_type=return_tensors)
