"""Image files: what of them is kept, and what a user's one must be."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from zoo.errors import InputError, visible

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF", "PPM")
"""Of Pillow's formats those whose reading starts no other program."""
SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".gif", ".ppm", ".pgm", ".pbm", ".pnm"}
)
"""Ends of the names of files of these formats, in small letters."""
_ORIENTATION = 0x0112


@dataclass(frozen=True)
class ImageFile:
    """The bytes of an image file, and what decoding them gives."""

    data: bytes
    height: int
    width: int
    channels: int
    """1 where it is grey, else 3."""


def decoded(data: bytes, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """The pixels ``[H, W, C]`` of a file's bytes."""
    from PIL import Image

    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        return np.asarray(image.convert("L" if shape[2] == 1 else "RGB")).reshape(shape)


def encoded(pixels: NDArray[np.uint8]) -> ImageFile:
    """Pixels ``[H, W]`` or ``[H, W, 3]`` as a PNG: without loss, and small where most is of one colour."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", compress_level=3)
    return ImageFile(stream.getvalue(), pixels.shape[0], pixels.shape[1], 1 if pixels.ndim == 2 else 3)


def images_in(folder: Path) -> list[Path]:
    """The images of a folder, by name; those of its own folders are not looked for, nor hidden ones.

    Raises InputError where there are none.
    """
    found = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and not path.is_dir()
    )
    if not found:
        raise InputError(
            f"no images here (files that end in {', '.join(sorted(SUFFIXES))})", where=visible(str(folder))
        )
    return found


def load_image(path: Path) -> NDArray[np.uint8]:
    """The pixels ``[H, W, 3]`` of an image file as it is seen: turned as its EXIF data says, on white where it is
    transparent, in 8 bits. Raises InputError for what is no image, or not whole."""
    _, image, plain = _opened(path, None)
    return np.asarray((plain or image).convert("RGB"))


def read_image(path: Path, where: str) -> ImageFile:
    """A user's image, decoded once to see that it can be.

    Its bytes are kept, but where it is turned by its EXIF data, transparent (white shows through) or of more than 8
    bits: then as a PNG. Raises InputError at `where` for what is no image, or not whole.
    """
    data, image, plain = _opened(path, where)
    if plain is not None:
        return encoded(np.asarray(plain))
    grey = image.mode in {"1", "L"}
    return ImageFile(data, image.height, image.width, 1 if grey else 3)


def _opened(path: Path, where: str | None) -> tuple[bytes, PillowImage, PillowImage | None]:
    """A file's bytes, the image in it, and how it is seen where that is another.

    Raises InputError for what is no image, or not whole: at `where`, a place that names it, or of the file itself.
    """
    from PIL import Image, UnidentifiedImageError

    shown = visible(str(path))
    what = f"image '{shown}' " if where else ""
    where = where or shown
    try:
        if not path.is_file():
            # A pipe would never end.
            raise InputError(f"{what}is no file" if path.exists() else f"{what}no such file", where=where)
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{what}cannot be read: {error.strerror}", where=where) from error
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            image.load()
            return data, image, _flattened(image)
    except UnidentifiedImageError:
        known = ", ".join(FORMATS)
        raise InputError(f"{what}is no image of a known format ({known})", where=where) from None
    except Exception as error:  # Pillow lets through whatever its decoders meet in a broken file
        raise InputError(f"{what}cannot be read: {_first_line(error)}", where=where) from error


def _flattened(image: PillowImage) -> PillowImage | None:
    """The image in grey or RGB where `convert` alone would lose something; None where it would not."""
    from PIL import Image, ImageOps

    turned = image.getexif().get(_ORIENTATION, 1) not in {0, 1}
    see_through = image.has_transparency_data
    deep = image.mode in {"I", "F"} or image.mode.startswith("I;16")
    if not (turned or see_through or deep):
        return None
    found: Any = ImageOps.exif_transpose(image) if turned else image
    if deep:
        values = np.asarray(found, np.float64)
        top = 65535.0 if values.max(initial=0) > 255 else 255.0
        return Image.fromarray(np.clip(values * 255.0 / top, 0, 255).astype(np.uint8))
    if see_through:
        found = found.convert("RGBA")
        paper = Image.new("RGBA", found.size, (255, 255, 255, 255))
        paper.alpha_composite(found)
        found = paper
    flat: PillowImage = found if found.mode == "L" else found.convert("RGB")
    return flat


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
