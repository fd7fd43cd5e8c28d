"""What a tokenizer makes of a corpus: counts of tokens, fertility and lengths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from zoo.errors import InputError
from zoo.models.tokenizers import Tokenizers
from zoo.spec import Spec
from zoo.tasks import DataHome
from zoo.tasks.contracts import Progress, Side, silent

SIDES: tuple[Side, Side] = ("source", "target")
_CHUNK = 1000


@dataclass(frozen=True)
class Corpus:
    """Texts by the side whose tokenizer reads them; None where they may be of either."""

    files: tuple[Path, ...] = ()
    """Texts of either side."""
    source: tuple[Path, ...] = ()
    target: tuple[Path, ...] = ()
    task: Any = None
    """A prepared task, whose training split is read."""

    @classmethod
    def of(
        cls,
        files: Sequence[Path],
        spec: Spec | None,
        progress: Progress = silent,
        *,
        source: Sequence[Path] = (),
        target: Sequence[Path] = (),
    ) -> Corpus:
        """Raises InputError for a file that is not there."""
        for path in (*files, *source, *target):
            if not path.is_file():
                raise InputError("no such file; expected one text a line, in UTF-8", where=str(path))
        task = None if spec is None else spec.task.create().prepare(DataHome.default(), progress)
        return cls(tuple(files), tuple(source), tuple(target), task)

    def __bool__(self) -> bool:
        return bool(self.files or self.source or self.target) or self.task is not None

    def texts(self) -> Iterator[tuple[Side | None, str]]:
        """Every text that is not blank, once. Raises InputError for a file that is not UTF-8."""
        files: list[tuple[Side | None, Path]] = [(None, path) for path in self.files]
        files += [("source", path) for path in self.source] + [("target", path) for path in self.target]
        for of, path in files:
            try:
                with path.open(encoding="utf-8") as stream:
                    yield from ((of, line.rstrip("\r\n")) for line in stream if not line.isspace())
            except UnicodeDecodeError as error:
                raise InputError(f"not UTF-8 at byte {error.start} of a block", where=str(path)) from None
        if self.task is not None:
            for side in SIDES:
                yield from ((side, text) for text in self.task.tokenizer_texts(side) if text and not text.isspace())


@dataclass(frozen=True)
class Reading:
    """What one tokenizer makes of a corpus. The ends of texts are not counted."""

    texts: int
    tokens: int
    words: int
    """Between white space."""
    characters: int
    """Other than white space."""
    unknown: int
    """Unknown tokens."""
    mean_length: float
    median_length: float
    longest: int

    @property
    def tokens_per_word(self) -> float | None:
        """Fertility (Rust et al. 2021, arXiv:2012.15613)."""
        return self.tokens / self.words if self.words else None

    @property
    def tokens_per_character(self) -> float | None:
        """Fertility of texts that are written without spaces."""
        return self.tokens / self.characters if self.characters else None

    def plain(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            **vars(self),
            "tokens_per_word": self.tokens_per_word,
            "tokens_per_character": self.tokens_per_character,
        }


class Reader:
    """Sums over what the tokenizers of a model make of texts.

    `two_sided` says that sources and targets are cut by different models, `apart` that they have different ids as
    well; `only` leaves out the texts of the other side.
    """

    def __init__(
        self, tokenizers: Tokenizers, *, two_sided: bool, apart: bool = False, only: Side | None = None
    ) -> None:
        self._tokenizers = {"source": tokenizers.source, "target": tokenizers.target}
        if not (two_sided or apart):
            self._tokenizers["target"] = tokenizers.source
        self._both = two_sided or apart
        self._apart, self._only = apart, only
        self.counts: dict[Side | None, Counter[int]] = {None: Counter(), "source": Counter(), "target": Counter()}
        """How often each id came out, by the vocabulary that it is of; None for the one that both sides share."""
        self.lengths: list[int] = []
        self.words = self.characters = 0

    def read(self, texts: Sequence[tuple[Side | None, str]]) -> list[tuple[Side | None, list[int]]]:
        """The ids of each text and their vocabulary, in order; a text of either side gives two where the sides are cut
        by different models."""
        found: list[tuple[Side | None, list[int]]] = []
        for side in SIDES:
            mine = [text for of, text in texts if self._reads(of, side)]
            if not mine:
                continue
            vocabulary = side if self._apart else None
            for text, ids in zip(mine, self._ids(side, mine), strict=True):
                found.append((vocabulary, ids))
                self.counts[vocabulary].update(ids)
                self.lengths.append(len(ids))
                self.words += len(text.split())
                self.characters += sum(map(len, text.split()))
        return found

    def _ids(self, side: Side, texts: list[str]) -> list[list[int]]:
        ids: list[list[int]] = self._tokenizers[side](texts, add_special_tokens=False)["input_ids"]
        return ids

    def _reads(self, of: Side | None, side: Side) -> bool:
        if self._only not in {None, side}:
            return False
        return of == side or (of is None and (self._both or side == "source"))

    def _unknown(self) -> int:
        found = 0
        for vocabulary, counts in self.counts.items():
            unknown = self._tokenizers[vocabulary or "source"].unk_token_id
            found += 0 if unknown is None else counts[int(unknown)]
        return found

    def reading(self) -> Reading:
        """What was read so far."""
        lengths = np.asarray(self.lengths or [0])
        return Reading(
            texts=len(self.lengths),
            tokens=int(lengths.sum()),
            words=self.words,
            characters=self.characters,
            unknown=self._unknown(),
            mean_length=float(lengths.mean()),
            median_length=float(np.median(lengths)),
            longest=int(lengths.max()),
        )


def chunks(texts: Iterable[tuple[Side | None, str]], progress: Progress, stage: str) -> Iterator[list[Any]]:
    """A thousand texts at a time."""
    texts, done = iter(texts), 0
    while chunk := list(islice(texts, _CHUNK)):
        yield chunk
        done += len(chunk)
        progress(stage, done, 0)
