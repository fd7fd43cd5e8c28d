"""Commands that answer images: the files that are meant, and those that cannot be read."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import click

from zoo.errors import InputError, visible

BATCHES = 16
"""Batches' worth of images that are read at once: so many that those of like size find each other."""
MOST_BYTES = 2**28
"""Bytes of pixels that are held at once, whatever the batches."""

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Reader(Generic[Answer]):
    """A model that reads images."""

    answers: Callable[[list[Any]], Sequence[Answer]]
    """Of images, uint8 ``[H, W, 3]``, one each."""
    batch_size: int
    check: Callable[[int, int], Any] = lambda height, width: None
    """Raises InputError where the model has no places for an image of this height and width."""


@dataclass
class Told:
    """One image: its name, and its pixels, or why there are none."""

    name: str
    pixels: Any = field(default=None, repr=False)
    error: str | None = None


def answer_images(
    images: Sequence[Path],
    reader: Reader[Answer],
    batch_size: int | None,
    *,
    lines: Callable[[str, Answer], Sequence[str]],
    fields: Callable[[Answer], Mapping[str, Any]] | None = None,
) -> None:
    """Write what `reader` makes of image files, of those of folders, or of paths from standard input, each of which is
    answered before the next is read, unless there is a `batch_size`.

    An image gives the lines that `lines` makes of its name, as it can be shown, and its answer; with `fields` one line
    of JSON with these and ``image``. One that cannot be read is told on standard error (in JSON as ``error``, too), and
    the others go on; raises InputError at the end.
    """
    streaming = not images or tuple(images) == (Path("-"),)
    names = _listed() if streaming else _named(images)
    count = (batch_size or 1) if streaming else reader.batch_size * BATCHES
    total = failed = 0
    for block in _blocks((_opened(name, reader) for name in names), count):
        good = [item.pixels for item in block if item.error is None]
        answers = iter(reader.answers(good) if good else [])
        for item in block:
            if item.error is not None:
                click.echo(f"zoo: {item.error}", err=True)
        written: list[str] = []
        for item in block:
            if item.error is None:
                answer = next(answers)
                found = _json(item.name, fields(answer)) if fields else lines(visible(item.name), answer)
                written += found
            elif fields:
                written += _json(item.name, {"error": item.error})
        _write(written)
        total += len(block)
        failed += sum(item.error is not None for item in block)
    if failed:
        raise InputError(f"{failed} of {total} images cannot be read")


def _json(name: str, told: Mapping[str, Any]) -> list[str]:
    return [json.dumps({"image": name, **told}, ensure_ascii=False)]


def _named(images: Sequence[Path]) -> Iterator[Path | Told]:
    """The files that are meant, in their order; what is no such folder is told as an image is."""
    from zoo.images.files import images_in

    for path in images:
        if str(path) == "-":
            yield from _listed()
            continue
        try:
            yield from images_in(path) if path.is_dir() else [path]
        except InputError as error:
            yield Told(str(path), error=str(error))
        except OSError as error:
            yield Told(str(path), error=f"{visible(str(path))}: {error.strerror or error}")


def _listed() -> Iterator[Path]:
    """The paths that come in, one a line, as the system's own bytes."""
    for line in sys.stdin.buffer:
        name = os.fsdecode(line.rstrip(b"\r\n"))
        if name:
            yield Path(name)


def _opened(name: Path | Told, reader: Reader[Any]) -> Told:
    """An image in memory, or why it is not."""
    from zoo.images.files import load_image

    if isinstance(name, Told):
        return name
    shown = visible(str(name))
    try:
        pixels = load_image(name)
    except InputError as error:
        return Told(str(name), error=str(error))
    try:
        reader.check(*pixels.shape[:2])
    except InputError as error:
        return Told(str(name), error=f"{shown}: {error.message}")
    return Told(str(name), pixels)


def _blocks(images: Iterable[Told], size: int) -> Iterator[list[Told]]:
    """So many images at a time, or fewer where they are large."""
    block: list[Told] = []
    held = 0
    for image in images:
        block.append(image)
        held += 0 if image.pixels is None else image.pixels.nbytes
        if len(block) == size or held >= MOST_BYTES:
            yield block
            block, held = [], 0
    if block:
        yield block


def _write(lines: Sequence[str]) -> None:
    # Bytes, as the terminal's encoding may know less than a text holds. A path that is no UTF-8 stays valid JSON.
    sys.stdout.buffer.write("".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace"))
    sys.stdout.buffer.flush()
