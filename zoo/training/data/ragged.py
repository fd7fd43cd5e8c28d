"""Sequences of different lengths in flat arrays, in memory or mapped from files. Imports neither torch nor models."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int32]
Offsets = npt.NDArray[np.int64]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Ragged:
    """Sequence i is ``ids[offsets[i]:offsets[i + 1]]``.

    Mapped from the two `files`, it costs no memory of its own but the pages that are looked at, and another process
    that gets it maps the same files.
    """

    ids: Ids
    offsets: Offsets
    files: tuple[Path, Path] | None = None

    @classmethod
    def mapped(cls, ids: Path, offsets: Path) -> Ragged:
        """The ids (int32) and offsets (int64) in two files, as `ids.tofile` and `offsets.tofile` write them."""
        return cls(_mapped(ids, np.int32), _mapped(offsets, np.int64), (ids, offsets))

    def __reduce__(self) -> tuple[Any, ...]:
        if self.files is not None:
            return Ragged.mapped, self.files
        return Ragged, (self.ids, self.offsets)

    @property
    def lengths(self) -> Offsets:
        """All lengths, in an array of its own: for a few sequences there is `lengths_of`."""
        return np.diff(self.offsets)

    def lengths_of(self, indices: Indices) -> Offsets:
        """The lengths of the chosen sequences."""
        return self.offsets[indices + 1] - self.offsets[indices]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> Ids:
        return self.ids[self.offsets[index] : self.offsets[index + 1]]

    def joined(self, indices: Indices) -> Ids:
        """The chosen sequences one behind the other."""
        lengths = self.lengths_of(indices)
        ends = lengths.cumsum()
        shift = self.offsets[indices] - ends + lengths  # [B], from a place in the result to the one in `ids`
        return self.ids[np.arange(ends[-1]) + np.repeat(shift, lengths)]  # type: ignore[no-any-return]


class Encoded(ABC):
    """Examples as training reads them: what is written as ids, every sequence ending in eos, and what is read."""

    targets: Ragged
    dropped: int
    """Examples left out because a text was longer than the bound."""
    contexts: Ragged | None
    """The second input, where examples have one."""

    def __len__(self) -> int:
        return len(self.targets)

    @abstractmethod
    def read(self, indices: Indices) -> int:
        """How many tokens, or patches, a model reads of the chosen examples, those of `contexts` not counted."""

    @property
    @abstractmethod
    def sides(self) -> tuple[Ragged, ...]:
        """All that are texts."""


@dataclass(frozen=True, eq=False)
class EncodedPairs(Encoded):
    """Ids of the sides of the same examples."""

    sources: Ragged
    targets: Ragged
    dropped: int
    """Examples left out because a side was longer than the bound."""
    contexts: Ragged | None = None
    """The second input; None where no example has one. An example without has eos alone."""

    def read(self, indices: Indices) -> int:
        return int(self.sources.lengths_of(indices).sum())

    @property
    def sides(self) -> tuple[Ragged, ...]:
        """Sources, targets and, where there are any, contexts."""
        return (self.sources, self.targets) if self.contexts is None else (self.sources, self.targets, self.contexts)


def offsets_of(lengths: npt.NDArray[Any]) -> Offsets:
    """Where sequences of these lengths begin, and the end of the last."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])


def _mapped(file: Path, dtype: Any) -> npt.NDArray[Any]:
    # A view of a plain array: `memmap` looks after itself in every slice, which a batch takes many of.
    return np.asarray(np.memmap(file, dtype=dtype, mode="r")) if file.stat().st_size else np.zeros(0, dtype)
