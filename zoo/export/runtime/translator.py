"""An export as something that translates texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from zoo.errors import InputError
from zoo.export.folder import CONTEXT_IDS, CONTEXT_MASK, EXPORT_FILE, SequencePart, read_export
from zoo.export.runtime.answers import Answers
from zoo.export.runtime.beam import beam
from zoo.export.runtime.device_steps import prompt_steps, source_steps
from zoo.export.runtime.devices import AUTO, device_for, missing_from_onnxruntime
from zoo.export.runtime.documents import Document, Read
from zoo.export.runtime.greedy import greedy
from zoo.export.runtime.languages import AS_SAVED, Pair, in_language, pair_of, searching
from zoo.export.runtime.sessions import TEXTS, Graphs, open_graphs
from zoo.export.runtime.settings import Search, search_of
from zoo.export.runtime.steps import Steps
from zoo.export.runtime.texts import Texts, padded

LANGUAGE_MODELS = ("causal-lm", "prefix-lm")
"""Architectures that read a source as a prompt."""
ARCHITECTURES = ("encoder-decoder", *LANGUAGE_MODELS)
"""What this runtime runs."""


def load(folder: Path | str, *, threads: int | None = None, device: str = AUTO) -> Translator:
    """The export in `folder`, each call of which computes on `threads` threads (None: as many as the export
    says, else one a core of the process), or on a GPU where `device` is 'cuda' or 'cuda:N', or 'auto' of an export for
    GPUs (`zoo.export.runtime.devices.device_for`).

    Raises InputError where there is none, it is damaged, its model decodes as this runtime cannot, or the GPU that was
    asked for by name cannot be had.
    """
    folder = Path(folder)
    export = read_export(folder)
    threads = threads or export.threads
    where = str(folder / EXPORT_FILE)
    if export.architecture not in ARCHITECTURES:
        raise InputError(
            f"an export of the architecture '{export.architecture}': expected {', '.join(ARCHITECTURES)}"
            f"{' (it reads images: zoo recognize, zoo detect)' if export.reads == 'image' else ''}",
            where=where,
        )
    sequence = export.sequence
    if sequence is None or sequence.cache is None:
        raise InputError("says nothing of a decoder's cache: not of 'zoo export'", where=where)
    search = search_of(sequence, where)
    texts = Texts(folder, longest_source=sequence.source_limit())
    engine: Engine
    if export.kind == "ctranslate2":
        from zoo.export.runtime.ct2 import Ct2Engine, missing_from_ctranslate2

        engine = Ct2Engine(folder, threads, device_for(device, export.device, missing_from_ctranslate2))
    else:
        reads = None if export.architecture in LANGUAGE_MODELS else TEXTS
        place = device_for(device, export.device, missing_from_onnxruntime)
        graphs = open_graphs(folder, sequence.cache.layers, threads, reads=reads, device=place)
        engine = _Graphs(graphs, sequence.special.padding)
    return Translator(sequence, engine, texts, search)


class Engine(Protocol):
    """What writes for a batch of sources. Any number of threads may use it at once."""

    def written(
        self, sources: Sequence[Sequence[int]], search: Search, contexts: Sequence[Sequence[int]] | None = None
    ) -> list[list[int]]:
        """What is written for each source's ids, and for the ids of a second source where there are `contexts`: without
        the start token, the end token included where there is one."""


class _Graphs:
    """Graphs that onnxruntime runs, step by step, in a search of ours."""

    def __init__(self, graphs: Graphs, padding: int) -> None:
        self._graphs = graphs
        self._padding = padding

    def written(
        self, sources: Sequence[Sequence[int]], search: Search, contexts: Sequence[Sequence[int]] | None = None
    ) -> list[list[int]]:
        steps = self._steps(sources, contexts, search.start)
        return greedy(steps, search) if search.width == 1 else beam(steps, search)

    def _steps(self, sources: Sequence[Sequence[int]], contexts: Sequence[Sequence[int]] | None, start: int) -> Steps:
        if self._graphs.encoder is None:
            # A prompt ends in the separator, which begins the target, in the place of the end token.
            prompts = [[*row[:-1], start] for row in sources]
            return prompt_steps(self._graphs, *padded(prompts, self._padding, left=True))
        names = ("input_ids", "attention_mask")
        inputs = dict(zip(names, padded(sources, self._padding), strict=True))
        if contexts is not None:
            inputs |= zip((CONTEXT_IDS, CONTEXT_MASK), padded(contexts, self._padding), strict=True)
        return source_steps(self._graphs, inputs, start)


class Translator:
    """Translates texts as the exported model does in torch. Thread-safe: a call shares nothing with another but what
    never changes."""

    def __init__(self, sequence: SequencePart, engine: Engine, texts: Texts, search: Search) -> None:
        self.sequence = sequence
        self._engine = engine
        self._texts = texts
        self._search = search

    def translate(
        self,
        texts: Sequence[Read],
        *,
        max_new_tokens: int | None = None,
        width: int | None = None,
        length_penalty: float | None = None,
        batch_size: int | None = None,
        source_language: str | None = None,
        target_language: str | None = None,
    ) -> list[str]:
        """One output a text, in their order; a model that reads context as a second source takes it beside the text.
        What is not given is as the model's spec has it; a width of 1 is greedy. Languages are among those of a model of
        several (``sequence.languages``).

        Batches hold texts of like length, longest first. Raises InputError for values below 1, and for languages that
        the model has not.
        """
        languages = self.sequence.languages
        pair = pair_of(languages, source_language, target_language)
        search = self._changed(max_new_tokens=max_new_tokens, width=width, length_penalty=length_penalty)
        search = searching(search, languages, pair)
        written = self._read_and_written(texts, search, max_new_tokens, batch_size, pair)
        return self._texts.decoded([[search.start, *row] for row in written])

    def document(self, max_new_tokens: int | None = None) -> Document | None:
        """What makes sources of a document's lines, where the model reads a sentence with those before it."""
        reading = self.sequence.context
        if reading is None:
            return None
        return Document(reading, self._texts.length, self.sequence.source_limit(max_new_tokens))

    def answer(self, sources: Sequence[Any], *, width: int | None = None, batch_size: int | None = None) -> Answers:
        """As `zoo.export.runtime.answers.Answering` has it."""
        search = self._changed(width=width)
        return Answers.of(self._read_and_written(sources, search, None, batch_size), search, self._texts)

    def stream(self, texts: Iterable[Read], **options: Any) -> Iterator[str]:
        """One output a text, in their order, each computed alone and as soon as it is asked for; options as those of
        `translate`."""
        return (output for text in texts for output in self.translate([text], **options))

    def generate(
        self, sources: Sequence[Sequence[int]], *, batch_size: int | None = None, **changes: Any
    ) -> list[list[int]]:
        """The ids written for each source's ids, without the start token, the end token included where there is one.

        `changes` as the first three options of `translate`.
        """
        return self._written(sources, None, self._changed(**changes), batch_size)

    def _changed(self, **changes: Any) -> Search:
        return self._search.changed(limit=self.sequence.target_limit(changes.get("max_new_tokens")), **changes)

    def _read_and_written(
        self,
        texts: Sequence[Read],
        search: Search,
        max_new_tokens: int | None,
        batch_size: int | None,
        pair: Pair = AS_SAVED,
    ) -> list[list[int]]:
        """The ids written for each text."""
        longest = self.sequence.source_limit(max_new_tokens)
        given = [pair.text + (text if isinstance(text, str) else text[0]) for text in texts]
        sources = in_language(self._texts.encoded(given, longest), self.sequence.languages, pair)
        contexts = None
        if not all(isinstance(text, str) for text in texts):
            contexts = self._texts.encoded(["" if isinstance(text, str) else text[1] for text in texts], longest)
        return self._written(sources, contexts, search, batch_size)

    def _written(
        self,
        sources: Sequence[Sequence[int]],
        contexts: Sequence[Sequence[int]] | None,
        search: Search,
        batch_size: int | None,
    ) -> list[list[int]]:
        if batch_size is not None and batch_size < 1:
            raise InputError(f"batch_size: expected at least 1, found {batch_size}")
        size = batch_size or self.sequence.decoding.batch_size
        order = sorted(range(len(sources)), key=lambda place: (-len(sources[place]), place))
        found: list[list[int]] = [[] for _ in sources]
        for begin in range(0, len(order), size):
            chosen = order[begin : begin + size]
            read = [contexts[place] for place in chosen] if contexts is not None else None
            rows = self._engine.written([sources[place] for place in chosen], search, read)
            for place, row in zip(chosen, rows, strict=True):
                found[place] = row
        return found
