"""What a user's export is compared on, where the spec's data is not at hand. Torch-free."""

from __future__ import annotations

from pathlib import Path

from zoo.errors import InputError
from zoo.images.files import images_in, load_image
from zoo.tasks.contracts import Input
from zoo.tasks.images import PixelImage, Source


def read_sources(path: Path, reads: Input) -> list[Source]:
    """Sources for a model that reads texts: the lines of a file; or images: those of a folder, or of a list of paths,
    one a line, which are looked for from the list's own folder. Empty lines are passed over.

    Raises InputError where there are none, or one cannot be read.
    """
    if not path.exists():
        raise InputError("no such file", where=str(path))
    if reads == "text":
        return [*_lines(path, "no lines of text: expected one source a line")]
    if path.is_dir():
        images = images_in(path)
    else:
        expected = "expected a folder of images, or a list of them, one path a line"
        images = [path.parent / line for line in _lines(path, f"no paths: {expected}", expected)]
    return [PixelImage(load_image(image)) for image in images]


def read_references(path: Path, sources: Path) -> list[str]:
    """The text that is right for each source of `read_sources`: line by line where `sources` is a file, of which empty
    lines are passed over in both, else one a line in the order of the images' names.

    Raises InputError where the numbers of lines differ, or it cannot be read.
    """
    lines = _read(path)
    if sources.is_dir():
        return lines
    beside = _read(sources)
    if len(lines) != len(beside):
        raise InputError(f"{len(lines)} lines, but {len(beside)} in {sources}: expected one each", where=str(path))
    return [line for line, source in zip(lines, beside, strict=True) if source.strip()]


def _read(path: Path, expected: str = "") -> list[str]:
    if not path.is_file():
        raise InputError("no such file", where=str(path))
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        more = f": {expected}" if expected else ""
        raise InputError(f"byte {error.start} is not UTF-8{more}", where=str(path)) from None
    return text.removesuffix("\n").split("\n") if text else []  # a text may hold what str.splitlines takes for an end


def _lines(path: Path, empty: str, expected: str = "") -> list[str]:
    if path.is_dir():
        raise InputError("is a folder: its model reads texts, expected a file with one source a line", where=str(path))
    lines = [line for line in _read(path, expected) if line.strip()]
    if not lines:
        raise InputError(empty, where=str(path))
    return lines
