"""Pairs as JSON lines on disk: written and checked as a stream, read one pair at a time."""

from __future__ import annotations

import hashlib
import json
import os
import weakref
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, overload

from zoo.errors import ZooError
from zoo.tasks import Check, Pair

if TYPE_CHECKING:
    # numpy takes longer to import than `zoo data list` to answer.
    import numpy as np
    import numpy.typing as npt

    Offsets = npt.NDArray[np.int64]
_BLOCK = 2**20
"""Bytes that are read, hashed or decoded at a time."""


def canonical(value: Any) -> str:
    """JSON with one spelling: the same value gives the same text on every platform."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def encode_pair(pair: Pair) -> bytes:
    """One line of JSON with its line feed. A lone surrogate in a text raises UnicodeEncodeError."""
    row: dict[str, Any] = {
        "texts": dict(pair.texts),
        "document": pair.document,
        "order": pair.order,
        "domain": pair.domain,
    }
    if pair.licence is not None:
        row["licence"] = pair.licence
    if pair.checks:
        row["checks"] = {language: [vars(check) for check in checks] for language, checks in pair.checks.items()}
    if pair.contrasts:
        row["contrasts"] = dict(pair.contrasts)
    return (canonical(row) + "\n").encode()


def encode_pairs(pairs: Iterable[Pair]) -> bytes:
    """JSON lines, one pair a line."""
    return b"".join(map(encode_pair, pairs))


def decode_pair(line: str | bytes) -> Pair:
    """The inverse of `encode_pair`."""
    row = json.loads(line)
    if "checks" in row:
        row["checks"] = {
            language: tuple(Check(**{**check, "wrong": tuple(check["wrong"])}) for check in checks)
            for language, checks in row["checks"].items()
        }
    if "contrasts" in row:
        row["contrasts"] = {language: tuple(texts) for language, texts in row["contrasts"].items()}
    return Pair(**row)


@dataclass(frozen=True)
class Content:
    """What a whole file of lines holds: its SHA-256 in hex, and where each line starts and the last one ends."""

    digest: str
    offsets: Offsets
    """``[N + 1]``"""

    @property
    def lines(self) -> int:
        return len(self.offsets) - 1

    @property
    def size(self) -> int:
        return int(self.offsets[-1])


def read_content(path: Path) -> Content:
    """Hash a file and find its lines in one pass; 8 bytes of memory a line. A last line without line feed counts."""
    import numpy as np

    digest = hashlib.sha256()
    ends: list[Offsets] = [np.zeros(1, np.int64)]
    size = 0
    with path.open("rb", buffering=0) as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
            # Only \n ends a line: a text may hold U+2028, which JSON leaves unescaped.
            ends.append(np.flatnonzero(np.frombuffer(block, np.uint8) == 0x0A) + (size + 1))
            size += len(block)
    offsets = np.concatenate(ends)
    if offsets[-1] != size:
        offsets = np.append(offsets, size)
    return Content(digest.hexdigest(), offsets)


class PairWriter:
    """Writes pairs to an open file; what it holds is known the moment the last one is written."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()
        self.count = 0

    def write(self, pair: Pair) -> None:
        line = encode_pair(pair)
        self._digest.update(line)
        self._stream.write(line)
        self.count += 1

    @property
    def digest(self) -> str:
        """SHA-256 of what was written, in hex."""
        return self._digest.hexdigest()


class _File:
    """A file of lines, open for reading at any place. Reads, not maps: mapped pages count as the process's memory."""

    def __init__(self, path: Path, offsets: Offsets) -> None:
        self.path = path
        self.offsets = offsets
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._descriptor)

    def __reduce__(self) -> tuple[Any, ...]:
        return _File, (self.path, self.offsets)

    def pairs(self, start: int, stop: int) -> Iterator[Pair]:
        """Pairs `start` to `stop`, read in blocks of about `_BLOCK` bytes."""
        while start < stop:
            bound = self.offsets[start] + _BLOCK
            end = min(stop, max(start + 1, int(self.offsets.searchsorted(bound, side="right")) - 1))
            yield from self._block(start, end)
            start = end

    def _block(self, start: int, end: int) -> Iterator[Pair]:
        first, size = int(self.offsets[start]), int(self.offsets[end] - self.offsets[start])
        data = os.pread(self._descriptor, size, first)
        for index in range(start, end):
            line = data[int(self.offsets[index]) - first : int(self.offsets[index + 1]) - first]
            try:
                yield decode_pair(line)
            except (ValueError, TypeError, AttributeError, KeyError) as error:
                raise ZooError(
                    f"{self.path}:{index + 1}: the file has changed since it was checked: prepare the corpus again"
                ) from error


class StoredPairs(Sequence[Pair]):
    """The pairs of a file, decoded when they are asked for. Slices are views; equal to any sequence of equal pairs."""

    def __init__(self, path: Path, offsets: Offsets) -> None:
        self._file = _File(path, offsets)
        self._where = range(len(offsets) - 1)

    def __len__(self) -> int:
        return len(self._where)

    @overload
    def __getitem__(self, index: int) -> Pair: ...

    @overload
    def __getitem__(self, index: slice) -> StoredPairs: ...

    def __getitem__(self, index: int | slice) -> Pair | StoredPairs:
        if isinstance(index, slice):
            view = StoredPairs.__new__(StoredPairs)
            view._file, view._where = self._file, self._where[index]
            return view
        place = self._where[index]
        return next(self._file.pairs(place, place + 1))

    def __iter__(self) -> Iterator[Pair]:
        where = self._where
        if where.step == 1:
            return self._file.pairs(where.start, where.stop)
        return (self[index] for index in range(len(where)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str | bytes):
            return NotImplemented
        return len(self) == len(other) and all(mine == its for mine, its in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{len(self)} pairs of {self._file.path}>"
