"""`zoo translate MODEL [FILE]`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from zoo import startup
from zoo.cli.model_folder import DEVICE, kind_of, torch_device
from zoo.errors import InputError

if TYPE_CHECKING:
    from zoo.export.runtime.documents import Document, Read

    Translate = Callable[[list[Read]], list[str]]

BATCHES = 16
"""Batches' worth of lines of a file that are read at once: so many that those of like length find each other."""


@click.command("translate")
@click.argument("model", type=click.Path(path_type=Path), metavar="MODEL")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True), metavar="[FILE]", default="-")
@click.option(
    "--width", type=click.IntRange(1, 64), help="Hypotheses of beam search; 1 is greedy. Default: the spec's."
)
@click.option("--max-new-tokens", type=click.IntRange(min=1), help="Longest output, in tokens. Default: the spec's.")
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    help="Lines translated at once. Default: the spec's of a FILE; 1 of standard input.",
)
@click.option("--threads", type=click.IntRange(min=1), help="Threads to compute on. Default: one a core.")
@DEVICE
@click.option(
    "--source-language",
    metavar="NAME",
    help="Language of the lines, of a plain model of several: en, eng_Latn or en_XX, as its tokenizer names them. "
    "Default: as the model was saved.",
)
@click.option("--target-language", metavar="NAME", help="Language to translate into; names as above.")
@click.option(
    "--context/--no-context",
    default=True,
    show_default=True,
    help="Whether a model that reads context reads each line with those before it, back to an empty line, which begins "
    "another document.",
)
def command(
    model: Path,
    file: Path,
    width: int | None,
    max_new_tokens: int | None,
    batch_size: int | None,
    threads: int | None,
    device: str,
    source_language: str | None,
    target_language: str | None,
    context: bool,
) -> None:
    """Translate the lines of FILE, or of standard input, with MODEL: a folder of 'zoo export' or of 'zoo train'.

    Each line gives one line, an empty one an empty one. Of standard input each line is translated, and written, before
    the next is read, unless there is a --batch-size. A model of a task with context reads the lines as documents. What
    else decoding needs is the spec's. An export is run without torch.
    """
    with ExitStack() as stack:
        stream, name = _opened(file, stack)
        load = _exported if kind_of(model) == "export" else _trained
        loaded = load(
            model, _Asked(width, max_new_tokens, batch_size, threads, device, source_language, target_language)
        )
        streaming = stream is sys.stdin.buffer
        count = (batch_size or 1) if streaming else loaded.batch_size * BATCHES
        document = loaded.document if context else None
        for block in _blocks(_lines(stream, name), count):
            _write(_translated(block, loaded.translate, document))


@dataclass(frozen=True)
class _Asked:
    """Of either kind of model."""

    width: int | None
    max_new_tokens: int | None
    batch_size: int | None
    threads: int | None
    device: str
    source_language: str | None
    target_language: str | None


@dataclass(frozen=True)
class _Loaded:
    """A model, whatever runs it."""

    translate: Translate
    batch_size: int
    document: Document | None
    """What makes sources of lines; None: each is one."""


def _exported(folder: Path, asked: _Asked) -> _Loaded:
    """An export, without torch."""
    from zoo.export.runtime import load

    startup.imported()

    translator = load(folder, threads=asked.threads, device=asked.device)
    options: dict[str, Any] = {
        "width": asked.width,
        "max_new_tokens": asked.max_new_tokens,
        "batch_size": asked.batch_size,
        "source_language": asked.source_language,
        "target_language": asked.target_language,
    }
    translator.translate([], **options)  # what it has not is told before any line is read
    size = asked.batch_size or translator.sequence.decoding.batch_size
    return _Loaded(
        lambda texts: translator.translate(texts, **options), size, translator.document(asked.max_new_tokens)
    )


def _trained(folder: Path, asked: _Asked) -> _Loaded:
    """A model in torch."""
    import torch

    from zoo.export.plain import PlainRun, is_plain, load_plain
    from zoo.export.runtime.documents import Document
    from zoo.export.runtime.languages import pair_of
    from zoo.measure.generation import generate_outputs
    from zoo.models.decoding import redecoded
    from zoo.training import load_run

    startup.imported()

    if asked.threads is not None:
        torch.set_num_threads(asked.threads)
    run = load_plain(folder) if is_plain(folder) else load_run(folder)
    if run.model.reads != "text":
        raise InputError(
            "its model reads images: this command translates texts (see 'zoo recognize')", where=str(folder)
        )
    front, reading = "", None
    if isinstance(run, PlainRun):
        front = run.speak(asked.source_language, asked.target_language)
    else:
        pair_of(None, asked.source_language, asked.target_language)
        reading = run.spec.task.create().context
    decoding = redecoded(
        run.spec.decoding, width=asked.width, max_new_tokens=asked.max_new_tokens, batch_size=asked.batch_size
    )
    model, tokenizer = run.model.to(torch_device(asked.device)).eval(), run.tokenizers.source
    limit = model.source_limit(decoding.max_new_tokens)

    def translate(texts: list[Read]) -> list[str]:
        sources = [front + text if isinstance(text, str) else text for text in texts]
        return list(generate_outputs(model, run.tokenizers, sources, decoding, max_source_tokens=limit).outputs)

    document = None if reading is None else Document(reading, lambda text: len(tokenizer(text)["input_ids"]), limit)
    return _Loaded(translate, decoding.batch_size, document)


def _translated(lines: list[str], translate: Translate, document: Document | None) -> list[str]:
    """One line for each: an output's own line breaks become spaces, and what has no text is not asked for."""
    texts: list[Read] = []
    for line in lines:
        if line.strip():
            texts.append(line if document is None else document.source(line))
        elif document is not None:
            document.ends()
    outputs = iter(translate(texts) if texts else [])
    return [" ".join(next(outputs).splitlines()) if line.strip() else "" for line in lines]


def _opened(file: Path, stack: ExitStack) -> tuple[BinaryIO, str]:
    if str(file) == "-":
        return sys.stdin.buffer, "standard input"
    if not file.exists():
        raise InputError("no such file", where=str(file))
    return stack.enter_context(file.open("rb")), str(file)


def _lines(stream: BinaryIO, name: str) -> Iterator[str]:
    for number, line in enumerate(stream, start=1):
        try:
            yield line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise InputError(f"byte {error.start + 1} of the line is not UTF-8", where=f"{name}:{number}") from None


def _blocks(lines: Iterable[str], size: int) -> Iterator[list[str]]:
    """So many lines at a time. What comes before a line that cannot be read comes out all the same."""
    block: list[str] = []
    try:
        for line in lines:
            block.append(line)
            if len(block) == size:
                yield block
                block = []
    except InputError:
        if block:
            yield block
        raise
    if block:
        yield block


def _write(lines: list[str]) -> None:
    # Bytes, as the terminal's encoding may know less than a translation holds.
    sys.stdout.buffer.write("".join(f"{line}\n" for line in lines).encode("utf-8", "replace"))
    sys.stdout.buffer.flush()
