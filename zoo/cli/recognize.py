"""`zoo recognize MODEL [IMAGE...]`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from zoo.cli.model_folder import kind_of
from zoo.errors import InputError, visible

BATCHES = 16
"""Batches' worth of images that are read at once: so many that those of like size find each other."""
MOST_BYTES = 2**28
"""Bytes of pixels that are held at once, whatever the batches."""


@dataclass(frozen=True)
class Reader:
    """A model that reads images."""

    recognize: Callable[[list[Any]], list[str]]
    """The texts of images, uint8 ``[H, W, 3]``."""
    check: Callable[[int, int], Any]
    """Raises InputError where the model has no places for an image of this height and width."""
    batch_size: int


@dataclass
class Told:
    """One image: its name, and its pixels, or why there are none."""

    name: str
    pixels: Any = field(default=None, repr=False)
    error: str | None = None


@click.command("recognize")
@click.argument("model", type=click.Path(path_type=Path), metavar="MODEL")
@click.argument("images", nargs=-1, type=click.Path(path_type=Path, allow_dash=True), metavar="[IMAGE]...")
@click.option(
    "--width", type=click.IntRange(1, 64), help="Hypotheses of beam search; 1 is greedy. Default: the spec's."
)
@click.option("--max-new-tokens", type=click.IntRange(min=1), help="Longest output, in tokens. Default: the spec's.")
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    help="Images read at once. Default: the spec's; 1 of standard input.",
)
@click.option("--threads", type=click.IntRange(min=1), help="Threads to compute on. Default: one a core.")
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each image: 'image', and 'text' or 'error'.")
def command(
    model: Path,
    images: tuple[Path, ...],
    width: int | None,
    max_new_tokens: int | None,
    batch_size: int | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """Read the texts in images with MODEL: a folder of 'zoo export' or of 'zoo train'.

    An IMAGE is a file, or a folder whose images are meant; without any, their paths are read from standard input, one a
    line, and each is answered before the next is read, unless there is a --batch-size. Each image gives one line: its
    path, a tab, the text. An image that cannot be read is told on standard error, and the others go on: the exit status
    is 2 then. What else decoding needs is the spec's. An export is run without torch.
    """
    load = _exported if kind_of(model) == "export" else _trained
    reader = load(model, width, max_new_tokens, batch_size, threads)
    streaming = not images or images == (Path("-"),)
    names = _listed() if streaming else _named(images)
    count = (batch_size or 1) if streaming else reader.batch_size * BATCHES
    total = failed = 0
    for block in _blocks((_opened(name, reader) for name in names), count):
        good = [item.pixels for item in block if item.error is None]
        texts = iter(reader.recognize(good) if good else [])
        for item in block:
            if item.error is not None:
                click.echo(f"zoo: {item.error}", err=True)
        _write([_line(item, next(texts) if item.error is None else None, as_json) for item in block])
        total += len(block)
        failed += sum(item.error is not None for item in block)
    if failed:
        raise InputError(f"{failed} of {total} images cannot be read")


def _exported(
    folder: Path, width: int | None, max_new_tokens: int | None, batch_size: int | None, threads: int | None
) -> Reader:
    """What reads with an export. Without torch."""
    from zoo.export.runtime import load_recognizer

    recognizer = load_recognizer(folder, threads=threads)
    options = {"width": width, "max_new_tokens": max_new_tokens, "batch_size": batch_size}
    recognizer.recognize([], **options)  # what cannot be searched so is told before any image is read
    return Reader(
        lambda images: recognizer.recognize(images, **options),
        recognizer.patches,
        batch_size or recognizer.sequence.decoding.batch_size,
    )


def _trained(
    folder: Path, width: int | None, max_new_tokens: int | None, batch_size: int | None, threads: int | None
) -> Reader:
    """What reads with a model in torch."""
    import torch

    from zoo.measure.device import default_device
    from zoo.measure.generation import generate_outputs
    from zoo.models.decoding import widened
    from zoo.tasks import PixelImage
    from zoo.training import load_run

    if threads is not None:
        torch.set_num_threads(threads)
    run = load_run(folder)
    if run.model.reads != "image" or not run.model.writes_text:
        raise InputError(
            f"its model is of the architecture '{run.model.section.architecture}': this command reads the texts in "
            "images",
            where=str(folder),
        )
    decoding = run.spec.decoding
    changes = {
        "strategy": None if width is None else widened(decoding.strategy, width),
        "max_new_tokens": max_new_tokens,
        "batch_size": batch_size,
    }
    decoding = decoding.model_copy(update={name: value for name, value in changes.items() if value is not None})
    run.model.refuse_search(decoding.strategy.create().settings())
    model = run.model.to(default_device()).eval()

    def recognize(images: list[Any]) -> list[str]:
        sources = [PixelImage(image) for image in images]
        limit = model.source_limit(decoding.max_new_tokens)
        return list(generate_outputs(model, run.tokenizers, sources, decoding, max_source_tokens=limit).outputs)

    def check(height: int, width: int) -> None:
        model.image_processor.count(height, width, model.encoder.position.grid_limit)

    return Reader(recognize, check, decoding.batch_size)


def _named(images: Sequence[Path]) -> Iterator[Path | Told]:
    """The files that are meant, in their order; what is no such folder is told as an image is."""
    from zoo.images.files import images_in

    for path in images:
        if str(path) == "-":
            yield from _listed()
            continue
        try:
            yield from images_in(path) if path.is_dir() else [path]
        except (InputError, OSError) as error:
            yield Told(str(path), error=str(error))


def _listed() -> Iterator[Path]:
    """The paths that come in, one a line, as the system's own bytes."""
    for line in sys.stdin.buffer:
        name = os.fsdecode(line.rstrip(b"\r\n"))
        if name:
            yield Path(name)


def _opened(name: Path | Told, reader: Reader) -> Told:
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


def _line(image: Told, text: str | None, as_json: bool) -> str:
    """What is written of an image; nothing of one that cannot be read, unless it is JSON."""
    if as_json:
        found = {"image": image.name, **({"error": image.error} if text is None else {"text": text})}
        return json.dumps(found, ensure_ascii=False) + "\n"
    return "" if text is None else f"{visible(image.name)}\t{' '.join(text.splitlines())}\n"


def _write(lines: Sequence[str]) -> None:
    # Bytes, as the terminal's encoding may know less than a text holds. A path that is no UTF-8 stays valid JSON.
    sys.stdout.buffer.write("".join(lines).encode("utf-8", "backslashreplace"))
    sys.stdout.buffer.flush()
