"""Encoded examples in the data home: made once, mapped by every run, seed, process and worker that reads them."""

from __future__ import annotations

import errno
import hashlib
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any, BinaryIO

from zoo.atomic import atomic_directory, locked, swept
from zoo.models.tokenizers import Tokenizers
from zoo.spec.load import canonical
from zoo.tasks import DataHome, Example
from zoo.tasks.contracts import Progress, silent
from zoo.training.data.encoding import OpenSide, SideWriter, in_memory, write_sides
from zoo.training.data.images import EncodedImages, Grid, images_of, write_images
from zoo.training.data.ragged import EncodedPairs, Ragged
from zoo.training.preparation import tokenizer_hash

ABOUT = "about.json"
_LAYOUT = "zoo.encoded/2"
_UNWRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS}
_BLOCK = 2**22
Write = Callable[[OpenSide], int]
"""Encodes a split, each side to the writer that is given for its name, and returns how many examples were left out."""


def encoded_pairs(
    home: DataHome,
    revision: str,
    split: str,
    tokenizers: Tokenizers,
    examples: Callable[[], Sequence[Example]],
    max_tokens: int,
    progress: Progress = silent,
    stage: str = "encoding",
) -> EncodedPairs:
    """`encode_pairs` of a task's split, kept in ``home.encoded`` and mapped from there.

    One folder for each (task's `revision`, `split`, tokenizers, `max_tokens`); `examples` are asked for only where it
    is not there. A folder whose files are not as they were written is made again. Where the home cannot be written to,
    the ids stay in memory.
    """
    about = _identity(revision, split, max_tokens, source=tokenizers.source, target=tokenizers.target)
    sides, dropped = _kept(
        home,
        about,
        ("source", "target"),
        lambda begin: write_sides(tokenizers, examples(), max_tokens, begin, progress, stage),
    )
    return EncodedPairs(sides["source"], sides["target"], dropped, sides.get("context"))


def encoded_images(
    home: DataHome,
    revision: str,
    split: str,
    tokenizer: Any,
    grid: Grid,
    examples: Callable[[], Sequence[Example]],
    max_tokens: int,
    progress: Progress = silent,
    stage: str = "encoding",
) -> EncodedImages:
    """The targets of a task's split as ids and its images as they are, with their numbers of patches by `grid`.

    What is kept in ``home.encoded``, as `encoded_pairs` keeps it, does not depend on `grid`: the ids, and which images
    of what sizes they belong to. The images are those of `examples`.
    """
    about = _identity(revision, split, max_tokens, target=tokenizer)
    given = examples()
    sides, dropped = _kept(
        home,
        about,
        ("image", "target"),
        lambda begin: write_images(tokenizer, given, max_tokens, begin, progress, stage),
    )
    return images_of(given, sides, grid, dropped)


def _kept(home: DataHome, about: dict[str, Any], needed: Sequence[str], write: Write) -> tuple[dict[str, Ragged], int]:
    """The sides that `write` makes (those `needed`, and others), and how many examples it left out: found in
    ``home.encoded``, or made there."""
    folder = home.encoded / f"{about['split']}-{hashlib.sha256(canonical(about)).hexdigest()[:20]}"
    found = _read(folder, needed)
    if found is not None:
        return found
    try:
        return _made(folder, about, needed, write)
    except _UnwritableError:
        return in_memory(write)


class _UnwritableError(Exception):
    pass


@contextmanager
def _writable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _UNWRITABLE:
            raise _UnwritableError from error
        raise


def _identity(revision: str, split: str, max_tokens: int, **tokenizers: Any) -> dict[str, Any]:
    """What decides the ids; `tokenizers` by the sides that they encode."""
    return {
        "layout": _LAYOUT,
        "task": revision,
        "split": split,
        **{side: tokenizer_hash(tokenizer) for side, tokenizer in tokenizers.items()},
        "max_tokens": max_tokens,
        "versions": {name: metadata.version(name) for name in ("tokenizers", "transformers")},
    }


def _made(folder: Path, about: dict[str, Any], needed: Sequence[str], write: Write) -> tuple[dict[str, Ragged], int]:
    with ExitStack() as stack:
        with _writable():
            stack.enter_context(locked(folder.with_name(f"{folder.name}.lock")))
        found = _read(folder, needed)  # another process may have made it meanwhile
        if found is not None:
            return found
        with ExitStack() as writing:
            with _writable():
                writing.enter_context(swept(folder.parent))
                temporary = writing.enter_context(atomic_directory(folder))
            files: dict[str, _Summed] = {}

            def begin(side: str) -> SideWriter:
                for name in _files(side):
                    files[name] = _Summed(writing.enter_context((temporary / name).open("wb")))
                ids, offsets = (files[name] for name in _files(side))
                return SideWriter(ids, offsets)  # type: ignore[arg-type]

            dropped = write(begin)
            said = {name: file.said() for name, file in files.items()}
            (temporary / ABOUT).write_text(json.dumps({**about, "dropped": dropped, "files": said}, indent=1) + "\n")
        found = _read(folder, needed)
        if found is None:
            raise OSError(errno.EIO, "what was just written reads back as something else", str(folder))
        return found


def _files(side: str) -> tuple[str, str]:
    return f"{side}.ids", f"{side}.offsets"


class _Summed:
    """A file that is written once, its size and its CRC-32."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._size = 0
        self._sum = 0

    def write(self, data: bytes) -> None:
        try:
            self._stream.write(data)
        except OSError as error:  # of a full disk, which does not say where
            raise OSError(error.errno, error.strerror, self._stream.name) from error
        self._size += len(data)
        self._sum = zlib.crc32(data, self._sum)

    def said(self) -> dict[str, int]:
        self._stream.flush()
        return {"bytes": self._size, "crc32": self._sum}


def _read(folder: Path, needed: Sequence[str]) -> tuple[dict[str, Ragged], int] | None:
    """What stands in `folder`, mapped; None where it is absent, or not what was written."""
    try:
        about = json.loads((folder / ABOUT).read_text())
        files = dict(about["files"])
        # The sizes of all first: they cost nothing.
        if any((folder / name).stat().st_size != said["bytes"] for name, said in files.items()):
            return None
        if any(_crc32(folder / name) != said["crc32"] for name, said in files.items()):
            return None
        names = dict.fromkeys(name.partition(".")[0] for name in files)
        sides = {side: Ragged.mapped(*(folder / name for name in _files(side))) for side in names}
        return (sides, int(about["dropped"])) if set(needed) <= set(sides) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _crc32(file: Path) -> int:
    """Of a file's bytes: a second for two gigabytes, where making them took minutes."""
    total = 0
    block = memoryview(bytearray(_BLOCK))
    with file.open("rb", buffering=0) as stream:
        while read := stream.readinto(block):
            total = zlib.crc32(block[:read], total)
    return total
