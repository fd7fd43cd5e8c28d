"""Images as the frames that a detector reads: what training, measuring and exports have in common. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from zoo.errors import InputError
from zoo.images.patches import RESAMPLE, as_array
from zoo.spec.pixel_section import PixelSection

FRAMES = ("pixel_values", "pixel_mask")
"""What a batch of images is made of."""
CELL = 16
"""Pixels of the side of a cell, the measure of an image's size."""


class FrameMaker:
    """Fits images into the frame of a section and pads them, at the bottom and on the right, to one size. Nothing of it
    changes: any number of threads may use it at once."""

    def __init__(self, section: PixelSection, multiple: int | None = None) -> None:
        """Both sides of a batch are whole multiples of `multiple` pixels (None: of the section's)."""
        self._section = section
        self._multiple = multiple or section.multiple
        self._mean, self._std = (np.asarray(item, np.float32)[:, None, None] for item in (section.mean, section.std))

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
        return -(-rows // CELL), -(-columns // CELL)

    def order(self, sizes: Sequence[tuple[int, int]]) -> list[int]:
        """Places of images of these heights and widths in the order in which they make batches: largest first, and
        those of like shape beside each other."""
        cells = [rows * columns for rows, columns in (self.grid(*size) for size in sizes)]
        return sorted(range(len(sizes)), key=lambda place: (-cells[place], sizes[place][1], place))

    def batch(self, images: Sequence[Any]) -> dict[str, NDArray[Any]]:
        """Images (uint8 ``[height, width, 3]`` or ``[height, width]``, or of Pillow) as one padded batch of `FRAMES`:
        `pixel_values` ``[B, 3, H, W]`` float32, 0 in the padding, and `pixel_mask` ``[B, H, W]`` bool.

        Raises InputError for what is no image, and for none.
        """
        made = [self._pixels(as_array(image)) for image in images]
        if not made:
            raise InputError("there is no image to read: expected at least one")
        multiple = self._multiple
        height, width = (-(-max(item.shape[axis] for item in made) // multiple) * multiple for axis in (1, 2))
        values = np.zeros((len(made), 3, height, width), np.float32)
        mask = np.zeros((len(made), height, width), np.bool_)
        for number, item in enumerate(made):
            _, rows, columns = item.shape
            values[number, :, :rows, :columns] = item
            mask[number, :rows, :columns] = True
        return dict(zip(FRAMES, (values, mask), strict=True))

    def _pixels(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """``[3, h, w]``, resized and normalised."""
        if 0 in image.shape:
            raise InputError(f"an image of {image.shape[0]} x {image.shape[1]} pixels: expected at least one")
        image = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
        height, width = image.shape[:2]
        size = self.size_of(height, width)
        if size != (height, width):
            image = np.asarray(Image.fromarray(image).resize(size[::-1], RESAMPLE[self._section.resample]))
        made: NDArray[np.float32] = (image.transpose(2, 0, 1).astype(np.float32) / np.float32(255) - self._mean) / (
            self._std
        )
        return made
