"""ZooImageProcessor: uint8 images into patches, with a mask, places and grids."""

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
from zoo.images.inputs import Placement
from zoo.images.patches import PatchMaker
from zoo.registry import current_registry
from zoo.registry.needed import refuse_missing_plugins
from zoo.spec.image_section import ImageSection
from zoo.spec.load import distributions_of, resolve_image

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
        self._maker = PatchMaker(resolve_image(self.image, registry))

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
        return self._maker.place(height, width)

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of patches that an image of this size becomes; it need not be decoded for that."""
        return self._maker.grid(height, width)

    def count(self, height: int, width: int, limit: tuple[int, int] | None) -> int:
        """See `PatchMaker.count`."""
        return self._maker.count(height, width, limit)

    def preprocess(self, images: Any, return_tensors: Any = None, **kwargs: Any) -> BatchFeature:
        """Images (uint8 ``[H, W, 3]`` or ``[H, W]``, or of Pillow; one or several) as one padded batch.

        Gives what `zoo.images.patches.PatchMaker.batch` gives, as torch's tensors unless `return_tensors` asks for
        others. Raises InputError for what is no image, and for any other keyword: what is done to images is the
        section's to say.
        """
        _refuse_unknown(list(kwargs), _ASKED)
        single = isinstance(images, (np.ndarray, Image.Image)) and not _is_batch(images)
        made = self._maker.batch([images] if single else list(images))
        tensors = {name: torch.from_numpy(array) for name, array in made.items()}
        return BatchFeature(tensors, tensor_type=return_tensors)

    def __call__(self, images: Any, **kwargs: Any) -> BatchFeature:
        """As `preprocess`."""
        return self.preprocess(images, **kwargs)


def _is_batch(images: Any) -> bool:
    return isinstance(images, np.ndarray) and images.ndim == 4
