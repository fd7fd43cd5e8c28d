"""What a tokenizer makes of a corpus: counts of tokens, fertility and lengths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np

from zoo.errors import InputError
from zoo.models.tokenizers import Tokenizers
from zoo.spec import Spec
from zoo.tasks import DataHome
from zoo.tasks.contracts import Progress, silent

Side = Literal["source", "target"]
_CHUNK = 1000


@dataclass(frozen=True)
class Corpus:
    """Texts by the side whose tokenizer reads them; None where they may be of either."""

    files: tuple[Path, ...] = ()
    task: Any = None
    """A prepared task, whose training split is read."""

    @classmethod
    def of(cls, files: Sequence[Path], spec: Spec | None, progress: Progress = silent) -> Corpus:
        """Raises InputError for a file that is not there."""
        for path in files:
            if not path.is_file():
                raise InputError("no such file; expected one text a line, in UTF-8", where=str(path))
        return cls(tuple(files), None if spec is None else spec.task.create().prepare(DataHome.default(), progress))

    def __bool__(self) -> bool:
        return bool(self.files) or self.task is not None

    def texts(self) -> Iterator[tuple[Side | None, str]]:
        """Every text that is not blank, once. Raises InputError for a file that is not UTF-8."""
        for path in self.files:
            try:
                with path.open(encoding="utf-8") as stream:
                    yield from ((None, line.rstrip("\r\n")) for line in stream if not line.isspace())
            except UnicodeDecodeError as error:
                raise InputError(f"not UTF-8 at byte {error.start} of a block", where=str(path)) from None
        if self.task is not None:
            for side in ("source", "target"):
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
    """Sums over what one tokenizer makes of texts."""

    def __init__(self, tokenizers: Tokenizers, *, two_sided: bool) -> None:
        self.tokenizers = tokenizers
        self.two_sided = two_sided
        unknown = tokenizers.source.unk_token_id
        self.unknown = -1 if unknown is None else int(unknown)
        self.counts: Counter[int] = Counter()
        self.lengths: list[int] = []
        self.words = self.characters = 0

    def read(self, texts: Sequence[tuple[Side | None, str]]) -> list[list[int]]:
        """The ids of each text, in order; a text of either side of a two-sided tokenizer gives two."""
        found: list[list[int]] = []
        for side in ("source", "target"):
            mine = [text for of, text in texts if self._side(of, side)]
            if not mine:
                continue
            tokenizer = self.tokenizers.target if side == "target" and self.two_sided else self.tokenizers.source
            for text, ids in zip(mine, tokenizer(mine, add_special_tokens=False)["input_ids"], strict=True):
                found.append(ids)
                self.counts.update(ids)
                self.lengths.append(len(ids))
                self.words += len(text.split())
                self.characters += sum(map(len, text.split()))
        return found

    def _side(self, of: Side | None, side: str) -> bool:
        return of == side or (of is None and (self.two_sided or side == "source"))

    def reading(self) -> Reading:
        """What was read so far."""
        lengths = np.asarray(self.lengths or [0])
        return Reading(
            texts=len(self.lengths),
            tokens=int(lengths.sum()),
            words=self.words,
            characters=self.characters,
            unknown=self.counts[self.unknown],
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
