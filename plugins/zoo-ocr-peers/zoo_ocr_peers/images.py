"""What is done to an image before an engine reads it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from zoo.errors import InputError
from zoo.tasks.images import Source


def pixels_of(sources: Sequence[Source]) -> list[NDArray[np.uint8]]:
    """The pixels ``[H, W, 3]`` of each image, as they are. Raises InputError for a text."""
    found = []
    for source in sources:
        if isinstance(source, (str, tuple)):
            raise InputError("an OCR engine reads images, and this is a text")
        found.append(source.load())
    return found


def prepared(pixels: NDArray[np.uint8], scale_to: int | None, border: int) -> Image.Image:
    """The image, enlarged to the height `scale_to` where it is lower (bicubic), with `border` pixels around it.

    The border has the median colour of the image's own edge, so that it goes on as what the text stands on.
    """
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if scale_to is not None and image.height < scale_to:
        width = max(1, round(image.width * scale_to / image.height))
        image = image.resize((width, scale_to), Image.Resampling.BICUBIC)
    if border:
        edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])  # [2W + 2H, 3]
        red, green, blue = (int(value) for value in np.median(edge, axis=0))
        canvas = Image.new("RGB", (image.width + 2 * border, image.height + 2 * border), (red, green, blue))
        canvas.paste(image, (border, border))
        image = canvas
    return image
