"""What a caller gives as an image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from zoo.images.files import load_image
from zoo.images.patches import as_array


def in_memory(image: Any) -> Any:
    """Pixels, but of what examples hold, which says its size without being read. Raises InputError for what is none."""
    if isinstance(image, (str, Path)):
        return load_image(Path(image))
    return as_array(image) if hasattr(image, "__array_interface__") else image


def size_of(image: Any) -> tuple[int, int]:
    """Height and width of what `in_memory` gave."""
    height, width = image.shape[:2] if hasattr(image, "shape") else image.size
    return int(height), int(width)


def pixels_of(image: Any) -> NDArray[Any]:
    """The pixels of what `in_memory` gave."""
    found: NDArray[Any] = image if hasattr(image, "shape") else image.load()
    return found
