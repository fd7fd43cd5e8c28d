"""An export as something that translates texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from zoo.errors import InputError
from zoo.export.folder import EXPORT_FILE, Export, read_export
from zoo.export.runtime.answers import Answers
from zoo.export.runtime.beam import beam
from zoo.export.runtime.greedy import greedy
from zoo.export.runtime.sessions import Graphs, open_graphs
from zoo.export.runtime.settings import Search, search_of
from zoo.export.runtime.steps import CachedSteps
from zoo.export.runtime.texts import Texts, padded
from zoo.tasks.images import Source

ARCHITECTURE = "encoder-decoder"
"""What this runtime runs."""


def load(folder: Path | str, *, threads: int | None = None) -> Translator:
    """The export in `folder`, each call of which computes on `threads` threads (None: one a core of the process).

    Raises InputError where there is none, it is damaged, or its model decodes as this runtime cannot.
    """
    folder = Path(folder)
    export = read_export(folder)
    if export.architecture != ARCHITECTURE:
        raise InputError(
            f"an export of the architecture '{export.architecture}': expected '{ARCHITECTURE}'",
            where=str(folder / EXPORT_FILE),
        )
    search = search_of(export, str(folder / EXPORT_FILE))
    texts = Texts(folder, longest_source=export.max_source_tokens)
    return Translator(export, open_graphs(folder, export.layers, threads), texts, search)


class Translator:
    """Translates texts as the exported model does in torch. Thread-safe: a call shares nothing with another but what
    never changes."""

    def __init__(self, export: Export, graphs: Graphs, texts: Texts, search: Search) -> None:
        self.export = export
        self._graphs = graphs
        self._texts = texts
        self._search = search

    def translate(
        self,
        texts: Sequence[str],
        *,
        max_new_tokens: int | None = None,
        width: int | None = None,
        length_penalty: float | None = None,
        batch_size: int | None = None,
    ) -> list[str]:
        """One output a text, in their order. What is not given is as the model's spec has it; a width of 1 is greedy.

        Batches hold texts of like length, longest first. Raises InputError for values below 1.
        """
        search = self._changed(max_new_tokens=max_new_tokens, width=width, length_penalty=length_penalty)
        written = self._written(self._texts.encoded(texts), search, batch_size)
        return self._texts.decoded([[search.start, *row] for row in written])

    def answer(self, sources: Sequence[Source], *, batch_size: int | None = None) -> Answers:
        """As `zoo.export.runtime.answers.Answering` has it."""
        texts = [text for text in sources if isinstance(text, str)]
        if len(texts) < len(sources):
            raise InputError(f"the export reads texts alone, but was given {len(sources) - len(texts)} other sources")
        search = self._search
        written = self._written(self._texts.encoded(texts), search, batch_size)
        unfinished = sum(not row or row[-1] != search.end for row in written)
        outputs = tuple(self._texts.decoded([[search.start, *row] for row in written]))
        return Answers(outputs, tokens=sum(map(len, written)), unfinished=unfinished)

    def stream(self, texts: Iterable[str], **options: Any) -> Iterator[str]:
        """One output a text, in their order, each computed alone and as soon as it is asked for; options as those of
        `translate`."""
        return (output for text in texts for output in self.translate([text], **options))

    def generate(
        self, sources: Sequence[Sequence[int]], *, batch_size: int | None = None, **changes: Any
    ) -> list[list[int]]:
        """The ids written for each source's ids, without the start token, the end token included where there is one.

        `changes` as the first three options of `translate`.
        """
        return self._written(sources, self._changed(**changes), batch_size)

    def _changed(self, **changes: Any) -> Search:
        return self._search.changed(limit=self.export.max_target_tokens, **changes)

    def _written(self, sources: Sequence[Sequence[int]], search: Search, batch_size: int | None) -> list[list[int]]:
        if batch_size is not None and batch_size < 1:
            raise InputError(f"batch_size: expected at least 1, found {batch_size}")
        size = batch_size or self.export.decoding.batch_size
        order = sorted(range(len(sources)), key=lambda place: (-len(sources[place]), place))
        found: list[list[int]] = [[] for _ in sources]
        for begin in range(0, len(order), size):
            chosen = order[begin : begin + size]
            ids, mask = padded([sources[place] for place in chosen], self.export.special.padding)
            steps = CachedSteps(self._graphs, ids, mask, search.start)
            rows = greedy(steps, search) if search.width == 1 else beam(steps, search)
            for place, row in zip(chosen, rows, strict=True):
                found[place] = row
        return found
