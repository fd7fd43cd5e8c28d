"""What tasks over parallel text share: pairs of a corpus become examples, one by one as they are asked for."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar, overload

from zoo.errors import InputError
from zoo.tasks import DataHome, Example, Pair, PreparedCorpus, PreparedTask, Side, Split, Task
from zoo.tasks.contracts import SPLITS, Progress, silent
from zoo_tasks_text.corpora.prepared import canonical
from zoo_tasks_text.tasks.draws import fraction
from zoo_tasks_text.tasks.options import ParallelOptions
from zoo_tasks_text.tasks.tags import Tags

Item = TypeVar("Item")


class Computed(Sequence[Item], Generic[Item]):
    """A sequence whose items are made when asked for, so that data larger than memory can be walked through."""

    def __init__(self, length: int, make: Callable[[int], Item]) -> None:
        self._length = length
        self._make = make

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Item]: ...

    def __getitem__(self, index: int | slice) -> Item | Sequence[Item]:
        if isinstance(index, slice):
            places = range(self._length)[index]
            return Computed(len(places), lambda place: self[places[place]])
        return self._make(range(self._length)[index])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(one == two for one, two in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]


class ParallelTask(Task):
    """A task over the pairs of one corpus."""

    options: ParallelOptions
    prepared_class: ClassVar[type[PreparedParallel]]
    suffix: str = ""
    """What tells the task's board from that of sentence translation, where outputs are others."""

    @property
    def name(self) -> str:
        """``<corpus family>-<source>-<target>``: the reverse direction is another board."""
        corpus = self.options.corpus
        family = getattr(corpus.options, "name", None) or corpus.component.traits.get("family", corpus.name)
        return f"{family}-{self.options.source}-{self.options.target}{self.suffix}"

    def prepare(self, home: DataHome, progress: Progress = silent) -> PreparedParallel:
        corpus: PreparedCorpus = self.options.corpus.create().prepare(home, progress)
        for language in (self.options.source, self.options.target):
            if language not in corpus.languages:
                raise InputError(
                    f"language '{language}' is not in corpus {corpus.name} (has {', '.join(corpus.languages)})"
                )
        return self.prepared_class(corpus, self.options)


class PreparedParallel(PreparedTask):
    """Examples read from a corpus.

    The revision names the data: corpus and direction. What the options make of it stands in the spec, so that models
    that read one test set in different ways (fewer examples, with context, with a tag) stand on one board.
    """

    def __init__(self, corpus: PreparedCorpus, options: ParallelOptions) -> None:
        self.corpus = corpus
        self.options = options
        identity = {"corpus": corpus.revision, "source": options.source, "target": options.target}
        self.revision = "sha256:" + hashlib.sha256(canonical(identity).encode()).hexdigest()
        self.tags = Tags.of(options, self._domains() if options.tag == "domain" else (), corpus.name)
        self._examples: dict[Split, Sequence[Example]] = {}
        sizes = {split: len(self.examples(split)) for split in SPLITS}
        self.facts: Mapping[str, Any] = {"corpus": dict(corpus.facts), "examples": sizes}

    @property
    def special_tokens(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.tags.known

    @abstractmethod
    def whole(self, split: Split) -> Sequence[Example]:
        """All examples of a split, before `max_examples`."""

    def examples(self, split: Split) -> Sequence[Example]:
        if split not in self._examples:
            examples = self.whole(split)
            limit = self.options.max_examples
            if split == "train" and limit is not None and limit < len(examples):
                examples = _sampled(examples, limit)
            self._examples[split] = examples
        return self._examples[split]

    def tokenizer_texts(self, side: Side | None = None) -> Iterator[str]:
        """The sentences of the training examples, without context, tags and line feeds."""
        for example in self.examples("train"):
            if side != "target":
                yield from example.translated.split("\n")
            if side != "source":
                yield from example.target.split("\n")

    def name_of(self, pair: Pair, split: Split, index: int) -> str:
        """The id of a pair's example."""
        return f"{pair.document}#{pair.order}" if pair.document else f"{split}:{index}"

    def source_of(self, pair: Pair) -> str:
        """The source text, which spells no tag."""
        return self.tags.escaped(pair.texts[self.options.source])

    def tagged(self, text: str, pair: Pair, name: str, split: Split) -> tuple[str, str | None]:
        """`text` behind the tag of its pair, if it carries one, and that tag."""
        tag = self.tags.chosen(pair.domain, name, split)
        return (text if tag is None else f"{tag} {text}"), tag

    def _domains(self) -> list[str]:
        return sorted({pair.domain for pair in self.corpus.pairs("train") if pair.domain is not None})


def _sampled(examples: Sequence[Example], limit: int) -> Sequence[Example]:
    """`limit` examples in their order. By hash: the first ones would be few documents, and a larger limit keeps all."""
    places = sorted(range(len(examples)), key=lambda index: fraction(examples[index].id))[:limit]
    places.sort()
    return Computed(limit, lambda index: examples[places[index]])
