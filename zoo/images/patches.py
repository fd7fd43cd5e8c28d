"""Images as the patches that a recogniser reads: what training, measuring and exports have in common. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from zoo.errors import InputError
from zoo.images.inputs import ImageInput, Placement
from zoo.spec.image_section import ImagePreparation

RESAMPLE = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
"""Filters of resizing, as sections name them."""
PATCHES = ("pixel_values", "patch_mask", "patch_positions", "patch_grid")
"""What a batch of images is made of."""


class PatchMaker:
    """Makes patches of images as a section says. Nothing of it changes: any number of threads may use it at once."""

    def __init__(self, section: ImagePreparation) -> None:
        """Raises InputError where the policy cannot be made with these options."""
        self._section = section
        self._policy: ImageInput = section.input.create(section.patch.height, section.patch.width)
        self._mean = np.asarray(section.mean, dtype=np.float32).reshape(-1, 1, 1)
        self._std = np.asarray(section.std, dtype=np.float32).reshape(-1, 1, 1)

    def place(self, height: int, width: int) -> Placement:
        """Where an image of this size goes. Raises InputError for an image without pixels, and where the policy breaks
        its contract."""
        if height < 1 or width < 1:
            raise InputError(f"an image of {height} x {width} pixels: expected at least one")
        placed = self._policy.place(height, width)
        patch = self._section.patch
        whole = placed.canvas_height % patch.height == 0 and placed.canvas_width % patch.width == 0
        inside = (
            placed.height >= 1
            and placed.width >= 1
            and 0 <= placed.top <= placed.canvas_height - placed.height
            and 0 <= placed.left <= placed.canvas_width - placed.width
        )
        if not (whole and inside):
            raise InputError(
                f"the image-input '{self._section.input.id}' puts {height} x {width} pixels at {placed}: expected a "
                f"canvas of whole patches ({patch.height} x {patch.width}) that holds the image"
            )
        channels = self._section.channels
        if placed.colour is not None and len(placed.colour) not in (1, channels):
            raise InputError(
                f"the image-input '{self._section.input.id}' gives padding {len(placed.colour)} numbers of a colour: "
                f"expected 1, or one for each channel (model.image.channels is {channels})"
            )
        return placed

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of patches that an image of this size becomes; it need not be decoded for that."""
        placed = self.place(height, width)
        return placed.canvas_height // self._section.patch.height, placed.canvas_width // self._section.patch.width

    def count(self, height: int, width: int, limit: tuple[int, int] | None) -> int:
        """How many patches an image of this size becomes, of a model with places for grids of `limit` rows and columns
        (None: any). Raises InputError where it has none for this one."""
        rows, columns = self.grid(height, width)
        if limit is not None and (rows > limit[0] or columns > limit[1]):
            raise InputError(
                f"an image of {height} x {width} pixels becomes {rows} x {columns} patches, and the model has places "
                f"for {limit[0]} x {limit[1]}"
            )
        return rows * columns

    def batch(self, images: Sequence[Any]) -> dict[str, NDArray[Any]]:
        """Images (uint8 ``[H, W, 3]`` or ``[H, W]``, or of Pillow) as one padded batch of `PATCHES`.

        `pixel_values` ``[B, N, C*Ph*Pw]`` float32 (channels before rows before columns), `patch_mask` ``[B, N]``
        (True: the patch holds a pixel of the image), `patch_positions` ``[B, N, 2]`` int64 (row, column) and
        `patch_grid` ``[B, N, 2]`` int64 (rows and columns of the image's grid). Rows of the batch are padded with
        zeros, False, zeros, and the image's own grid. Raises InputError for what is no image, and for none.
        """
        if not images:
            raise InputError("expected at least one image, found none")
        made = [self._patches(as_array(item)) for item in images]
        batch, longest = len(made), max(len(patches) for patches, _, _ in made)
        pixels = np.zeros((batch, longest, made[0][0].shape[1]), np.float32)
        mask = np.zeros((batch, longest), np.bool_)
        positions = np.zeros((batch, longest, 2), np.int64)
        grids = np.empty((batch, longest, 2), np.int64)
        for index, (patches, real, grid) in enumerate(made):
            count = len(patches)
            pixels[index, :count] = patches
            mask[index, :count] = real
            positions[index, :count] = np.indices(grid).reshape(2, -1).T
            grids[index] = grid
        return dict(zip(PATCHES, (pixels, mask, positions, grids), strict=True))

    def _patches(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.bool_], tuple[int, int]]:
        """One image ``[H, W, 3]`` or ``[H, W]`` -> patches ``[N, C*Ph*Pw]``, which are real ``[N]``, and the grid."""
        section, patch = self._section, self._section.patch
        placed = self.place(*image.shape[:2])
        canvas = np.zeros((section.channels, placed.canvas_height, placed.canvas_width), dtype=np.float32)
        if placed.colour is not None:
            colour = np.asarray(placed.colour, dtype=np.float32).reshape(-1, 1, 1)
            canvas[:] = self._normalised(np.broadcast_to(colour, (section.channels, 1, 1)))
        rows = slice(placed.top, placed.top + placed.height)
        columns = slice(placed.left, placed.left + placed.width)
        canvas[:, rows, columns] = self._normalised(self._resized(image, placed))
        real = np.zeros(canvas.shape[1:], dtype=bool)
        real[rows, columns] = True
        grid = (placed.canvas_height // patch.height, placed.canvas_width // patch.width)
        cut = canvas.reshape(section.channels, grid[0], patch.height, grid[1], patch.width)
        patches = cut.transpose(1, 3, 0, 2, 4).reshape(grid[0] * grid[1], -1)  # [N, C*Ph*Pw]
        touched = real.reshape(grid[0], patch.height, grid[1], patch.width).any(axis=(1, 3)).reshape(-1)  # [N]
        return patches, touched, grid

    def _resized(self, image: NDArray[np.uint8], placed: Placement) -> NDArray[np.uint8]:
        """The image in its new size and number of channels, ``[C, h, w]``."""
        picture = Image.fromarray(image).convert("L" if self._section.channels == 1 else "RGB")
        if picture.size != (placed.width, placed.height):
            picture = picture.resize((placed.width, placed.height), RESAMPLE[self._section.resample])
        pixels = np.asarray(picture)
        return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)  # [C, h, w]

    def _normalised(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """Pixels ``[C, h, w]`` of 0..255 -> float32, less the mean and over the deviation."""
        made: NDArray[np.float32] = (pixels.astype(np.float32) / np.float32(255) - self._mean) / self._std
        return made


def as_array(image: Any) -> NDArray[np.uint8]:
    """One image as uint8 ``[H, W, 3]`` or ``[H, W]``. Raises InputError for what is none."""
    found = np.asarray(image.convert("RGB") if isinstance(image, Image.Image) else image)
    if found.ndim == 3 and found.shape[2] == 1:
        found = found[..., 0]
    if found.dtype != np.uint8 or found.ndim not in (2, 3) or (found.ndim == 3 and found.shape[2] != 3):
        raise InputError(
            f"expected an image of uint8 [height, width, 3] or [height, width], found {found.dtype} {list(found.shape)}"
        )
    return found
