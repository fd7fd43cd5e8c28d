"""The lines of a document as a model reads them that reads context: each with some of those before it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

Read = str | tuple[str, str]
"""A text, or a text and the context that stands before it."""
Count = Callable[[str], int]
"""How many tokens a text has, its end token counted."""


class Reading(Protocol):
    """As `zoo.tasks.context.ContextReading` and `zoo.export.folder.ContextPart` say it."""

    @property
    def sentences(self) -> int: ...
    @property
    def second_input(self) -> bool: ...


class Document:
    """The lines of documents, one after the other, as sources."""

    def __init__(self, reading: Reading, count: Count, limit: int | None) -> None:
        """A context that has more than `limit` tokens gives way, the furthest line first, as `zoo.tasks.fitting` has
        it; the sentence itself is left whole."""
        self._second_input = reading.second_input
        self._count = count
        self._limit = limit
        self._before: deque[str] = deque(maxlen=reading.sentences)

    def source(self, line: str) -> Read:
        """The next line of the document as a source."""
        sentence = " ".join(line.split())
        before = list(self._before)
        while before and self._limit is not None and self._tokens(before, sentence) > self._limit:
            del before[0]
        self._before.append(sentence)
        return (sentence, "\n".join(before)) if self._second_input else "\n".join([*before, sentence])

    def ends(self) -> None:
        """The next line is the first of another document."""
        self._before.clear()

    def _tokens(self, before: Sequence[str], sentence: str) -> int:
        return self._count("\n".join(before if self._second_input else [*before, sentence]))
