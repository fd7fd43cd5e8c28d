"""The image processor of detectors: uint8 images to the tensors that they read, saved beside the model."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import BatchFeature
from transformers.image_processing_utils import BaseImageProcessor

from zoo.errors import InputError, did_you_mean
from zoo.images.patches import as_array
from zoo.spec.pixel_section import PixelSection

_RESAMPLE = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_ASKED = ("images", "return_tensors")


class ZooDetectionProcessor(BaseImageProcessor):  # type: ignore[misc]
    """Fits images into the frame of a pixel section and pads them, at the bottom and on the right, to one size."""

    model_input_names = ["pixel_values", "pixel_mask"]  # noqa: RUF012 - transformers' own habit

    def __init__(self, pixels: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        """`pixels` is the section as plain data. Raises pydantic's ValidationError where it is none."""
        super().__init__(**{name: item for name, item in kwargs.items() if name != "image_processor_type"})
        self.pixels = copy.deepcopy(dict(pixels or {}))
        self._section = PixelSection.model_validate(self.pixels)

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
        section = self._section
        scale = min(section.max_height / height, section.max_width / width)
        if scale >= 1 and not section.enlarge:
            return height, width
        return max(1, round(height * scale)), max(1, round(width * scale))

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of cells of 16 x 16 pixels that such an image takes: what a batch is filled by."""
        rows, columns = self.size_of(height, width)
        return -(-rows // 16), -(-columns // 16)

    def preprocess(self, images: Any, return_tensors: Any = None, **kwargs: Any) -> BatchFeature:
        """``pixel_values`` ``[B, 3, H, W]`` float32 and ``pixel_mask`` ``[B, H, W]`` bool of one image or a list.

        Images are uint8 ``[height, width, 3]`` or ``[height, width]``, or Pillow's. Raises InputError for what is none,
        for none at all, and for any other keyword: what is done to images is the section's to say.
        """
        for name in kwargs:
            raise InputError(f"the image processor has no keyword '{name}': {did_you_mean(name, _ASKED)}")
        many = isinstance(images, Sequence) or (isinstance(images, np.ndarray) and images.ndim == 4)
        made = [self._pixels(as_array(image)) for image in (images if many else [images])]
        if not made:
            raise InputError("there is no image to read: expected at least one")
        multiple = self._section.multiple
        height, width = (-(-max(item.shape[axis] for item in made) // multiple) * multiple for axis in (1, 2))
        values = np.zeros((len(made), 3, height, width), np.float32)
        mask = np.zeros((len(made), height, width), bool)
        for number, item in enumerate(made):
            _, rows, columns = item.shape
            values[number, :, :rows, :columns] = item
            mask[number, :rows, :columns] = True
        tensors = {"pixel_values": torch.from_numpy(values), "pixel_mask": torch.from_numpy(mask)}
        return BatchFeature(tensors, tensor_type=return_tensors)

    def _pixels(self, image: np.ndarray) -> np.ndarray:
        """``[3, h, w]``, float32, resized and normalised."""
        image = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
        size = self.size_of(*image.shape[:2])
        if size != image.shape[:2]:
            picture = Image.fromarray(image).resize(size[::-1], _RESAMPLE[self._section.resample])
            image = np.asarray(picture)
        mean, std = (np.asarray(item, np.float32)[:, None, None] for item in (self._section.mean, self._section.std))
        made: np.ndarray = (image.transpose(2, 0, 1).astype(np.float32) / np.float32(255) - mean) / std
        return made
