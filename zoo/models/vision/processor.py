"""ZooImageProcessor: uint8 images into patches, with a mask, places and grids."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import BatchFeature
from transformers.image_processing_utils import BaseImageProcessor

from zoo.errors import InputError, did_you_mean
from zoo.models.vision.inputs import ImageInput, Placement
from zoo.registry import current_registry
from zoo.registry.needed import refuse_missing_plugins
from zoo.spec.image_section import ImageSection
from zoo.spec.load import distributions_of, resolve_image

_RESAMPLE = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_KEYS = ("image", "plugins")
_ASKED = ("images", "return_tensors")
_WRITTEN = frozenset(
    {"auto_map", "feature_extractor_type", "image_processor_type", "processor_class", "transformers_version"}
)
"""What transformers may put into a preprocessor_config.json, or take from it."""


def _refuse_unknown(names: Sequence[str], known: Sequence[str]) -> None:
    """Raise InputError for the first of `names`, none of which is known."""
    if names:
        of_section = " (it is a key of the image section: give it in 'image')"
        inside = of_section if names[0] in ImageSection.model_fields else ""
        raise InputError(f"the image processor has no keyword '{names[0]}'{inside}: {did_you_mean(names[0], known)}")


class ZooImageProcessor(BaseImageProcessor):  # type: ignore[misc]
    """What stands before a model of images; saved beside it as preprocessor_config.json.

    An image is resized as the section's policy says, normalised, put on its canvas, and cut into patches, row by row.
    Padding is 0 after normalisation (that is, of the mean colour), unless the policy gives it a colour.
    """

    model_input_names = ["pixel_values", "patch_mask", "patch_positions", "patch_grid"]  # noqa: RUF012

    def __init__(
        self, image: Mapping[str, Any] | None = None, plugins: Mapping[str, str] | None = None, **kwargs: Any
    ) -> None:
        """`image` is the image section as plain data, `plugins` the distributions that its components come from.

        Raises InputError where one is not installed, or the section is none, and for a keyword of another name; what
        transformers writes into a file beside them is passed over.
        """
        _refuse_unknown([name for name in kwargs if name not in _WRITTEN and not name.startswith("_")], _KEYS)
        super().__init__(**{name: item for name, item in kwargs.items() if name != "image_processor_type"})
        self.image = copy.deepcopy(dict(image or {}))
        self.plugins = dict(plugins or {})
        registry = current_registry()
        refuse_missing_plugins(self.plugins, registry, "preprocessor_config.json")
        self._section = resolve_image(self.image, registry)
        patch = self._section.patch
        self._policy: ImageInput = self._section.input.create(patch.height, patch.width)

    @classmethod
    def of(cls, section: ImageSection) -> ZooImageProcessor:
        """The processor of a resolved section."""
        return cls(section.plain(), distributions_of(section))

    @classmethod
    def from_dict(cls, image_processor_dict: dict[str, Any], **kwargs: Any) -> Any:
        """As transformers', which `from_pretrained` ends in.

        Raises InputError for a keyword that would replace what the file says: it fits the model beside it.
        """
        given = next((name for name in _KEYS if name in kwargs), None)
        if given is not None:
            raise InputError(
                f"'{given}' stands in the file, and is the model's beside it: leave it out, or make a processor of "
                "another section with ZooImageProcessor(image=...)"
            )
        return super().from_dict(image_processor_dict, **kwargs)

    def to_dict(self) -> dict[str, Any]:
        """What is saved."""
        return {
            "image": copy.deepcopy(self.image),
            "plugins": dict(self.plugins),
            "image_processor_type": type(self).__name__,
        }

    def __reduce__(self) -> tuple[Any, ...]:
        # As plain data: a data worker finds the components in its own registry.
        return type(self), (self.image, self.plugins)

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

    def preprocess(self, images: Any, return_tensors: Any = None, **kwargs: Any) -> BatchFeature:
        """Images (uint8 ``[H, W, 3]`` or ``[H, W]``, or of Pillow; one or several) as one padded batch.

        Gives `pixel_values` ``[B, N, C*Ph*Pw]`` float32 (channels before rows before columns), `patch_mask` ``[B, N]``
        (True: the patch holds a pixel of the image), `patch_positions` ``[B, N, 2]`` (row, column) and `patch_grid`
        ``[B, N, 2]`` (rows and columns of the image's grid). Rows of the batch are padded with zeros, False, zeros, and
        the image's own grid. They are torch's unless `return_tensors` asks for others. Raises InputError for what is no
        image, and for any other keyword: what is done to images is the section's to say.
        """
        _refuse_unknown(list(kwargs), _ASKED)
        single = isinstance(images, (np.ndarray, Image.Image)) and not _is_batch(images)
        listed: Sequence[Any] = [images] if single else list(images)
        if not listed:
            raise InputError("expected at least one image, found none")
        made = [self._patches(as_array(item)) for item in listed]
        longest = max(len(patches) for patches, _, _ in made)
        batch = len(made)
        pixels = torch.zeros(batch, longest, made[0][0].shape[1])
        mask = torch.zeros(batch, longest, dtype=torch.bool)
        positions = torch.zeros(batch, longest, 2, dtype=torch.long)
        grids = torch.empty(batch, longest, 2, dtype=torch.long)
        for index, (patches, real, grid) in enumerate(made):
            count = len(patches)
            pixels[index, :count] = patches
            mask[index, :count] = real
            positions[index, :count] = torch.cartesian_prod(torch.arange(grid[0]), torch.arange(grid[1])).view(-1, 2)
            grids[index] = torch.tensor(grid)
        return BatchFeature(
            {"pixel_values": pixels, "patch_mask": mask, "patch_positions": positions, "patch_grid": grids},
            tensor_type=return_tensors,
        )

    def __call__(self, images: Any, **kwargs: Any) -> BatchFeature:
        """As `preprocess`."""
        return self.preprocess(images, **kwargs)

    def _patches(self, image: np.ndarray) -> tuple[Tensor, Tensor, tuple[int, int]]:
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
        return torch.from_numpy(patches), torch.from_numpy(touched), grid

    def _resized(self, image: np.ndarray, placed: Placement) -> np.ndarray:
        """The image in its new size and number of channels, ``[C, h, w]``, uint8."""
        picture = Image.fromarray(image).convert("L" if self._section.channels == 1 else "RGB")
        if picture.size != (placed.width, placed.height):
            picture = picture.resize((placed.width, placed.height), _RESAMPLE[self._section.resample])
        pixels = np.asarray(picture)
        return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)  # [C, h, w]

    def _normalised(self, pixels: np.ndarray) -> np.ndarray:
        """Pixels ``[C, h, w]`` of 0..255 -> float32, less the mean and over the deviation."""
        mean = np.asarray(self._section.mean, dtype=np.float32).reshape(-1, 1, 1)
        std = np.asarray(self._section.std, dtype=np.float32).reshape(-1, 1, 1)
        made: np.ndarray = (pixels.astype(np.float32) / np.float32(255) - mean) / std
        return made


def _is_batch(images: Any) -> bool:
    return isinstance(images, np.ndarray) and images.ndim == 4


def as_array(image: Any) -> np.ndarray:
    """One image as uint8 ``[H, W, 3]`` or ``[H, W]``. Raises InputError for what is none."""
    found = np.asarray(image.convert("RGB") if isinstance(image, Image.Image) else image)
    if found.ndim == 3 and found.shape[2] == 1:
        found = found[..., 0]
    if found.dtype != np.uint8 or found.ndim not in (2, 3) or (found.ndim == 3 and found.shape[2] != 3):
        raise InputError(
            f"expected an image of uint8 [height, width, 3] or [height, width], found {found.dtype} {list(found.shape)}"
        )
    return found
