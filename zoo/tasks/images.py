"""Images of examples: what a model that reads images is given, before any of it is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Size = tuple[int, int]
"""Height and width in pixels."""


class ImageSource(Protocol):
    """An image that is read when it is asked for.

    It is cheap to hold, many at a time, and goes to data workers: it can be pickled, and holds no open file. The same
    one gives the same pixels each time and in each process.
    """

    @property
    def size(self) -> Size:
        """Height and width in pixels, known without decoding."""

    def load(self) -> NDArray[np.uint8]:
        """The pixels ``[height, width, 3]``, RGB. Raises ZooError, naming file and image, where they cannot be read."""


@dataclass(frozen=True, eq=False)
class PixelImage:
    """An image that is in memory already."""

    pixels: NDArray[np.uint8]
    """``[height, width, 3]``, RGB."""

    def __post_init__(self) -> None:
        shape, dtype = self.pixels.shape, self.pixels.dtype
        if len(shape) != 3 or shape[2] != 3 or 0 in shape or str(dtype) != "uint8":
            raise ValueError(f"pixels {dtype} {shape}: expected uint8 [height, width, 3], neither of them 0")

    @property
    def size(self) -> Size:
        height, width, _ = self.pixels.shape
        return height, width

    def load(self) -> NDArray[np.uint8]:
        return self.pixels


Source = str | tuple[str, str] | ImageSource
"""What a model reads: a text, a text and the context that stands before it (for a second encoder), or an image."""
