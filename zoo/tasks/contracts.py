"""The contracts of corpora, tasks, tokenizers and metrics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from zoo.spec.options import Options
from zoo.tasks.home import DataHome

Split = Literal["train", "dev", "test"]
SPLITS: tuple[Split, ...] = ("train", "dev", "test")
Progress = Callable[[str, int, int], None]
"""``progress(stage, done, total)``; total 0 where it is unknown."""


def silent(stage: str, done: int, total: int) -> None:
    """A progress report that nobody reads."""


@dataclass(frozen=True)
class Pair:
    """One aligned pair. `texts` maps a language code to a text; `order` counts within the document."""

    texts: Mapping[str, str]
    document: str | None = None
    order: int = 0
    domain: str | None = None


class PreparedCorpus(ABC):
    """A corpus on disk."""

    name: str
    revision: str
    """``sha256:<hex>`` over the content of every split: the same pairs give the same revision on every platform."""
    languages: tuple[str, ...]
    licence: str
    facts: Mapping[str, Any]
    """Sizes, packages and versions, what was dropped and why: JSON-ready."""

    @abstractmethod
    def pairs(self, split: Split) -> Sequence[Pair]:
        """The pairs of a split, in a stable order."""


class Corpus(ABC):
    """A recipe: built as ``target(options)``; `prepare` may fetch, and resumes what an interruption left."""

    def __init__(self, options: Options) -> None:
        self.options = options

    @abstractmethod
    def prepare(self, home: DataHome, progress: Progress = silent) -> PreparedCorpus:
        """Build or find the prepared corpus. Raises ZooError naming alternatives where its source cannot be had."""

    def find(self, home: DataHome) -> PreparedCorpus | None:
        """What an earlier `prepare` left whole in `home`, without building or fetching anything."""
        return None

    def refresh(self, home: DataHome, progress: Progress = silent) -> PreparedCorpus:
        """Ask the source again, where a newer version may have come; corpora without a changing source just prepare."""
        return self.prepare(home, progress)


@dataclass(frozen=True)
class Example:
    """One input and its reference output."""

    id: str
    source: str
    target: str
    document: str | None = None
    domain: str | None = None


class PreparedTask(ABC):
    """A task whose data is on disk."""

    revision: str
    """Content hash of everything the examples depend on."""
    facts: Mapping[str, Any]

    @abstractmethod
    def examples(self, split: Split) -> Sequence[Example]:
        """The examples of a split, in a stable order."""

    def tokenizer_texts(self) -> Iterator[str]:
        """The training texts of both sides, for tokenizer training."""
        for example in self.examples("train"):
            yield example.source
            yield example.target


class Task(ABC):
    """Built as ``target(options)``."""

    def __init__(self, options: Options) -> None:
        self.options = options

    @property
    @abstractmethod
    def name(self) -> str:
        """The board this task's models compete on, such as ``office-zh-en``."""

    @abstractmethod
    def prepare(self, home: DataHome, progress: Progress = silent) -> PreparedTask:
        """Prepare the task's data."""


class TokenizerTrainer(ABC):
    """Built as ``target(options)``. Same texts and options give the same tokenizer, byte for byte."""

    def __init__(self, options: Options) -> None:
        self.options = options

    @abstractmethod
    def train(self, texts: Iterator[str]) -> Any:
        """A `transformers.PreTrainedTokenizerFast` with pad (id 0), eos (1), bos (2) and unk (3) tokens.

        ``tokenizer(text)`` ends in eos and adds no bos; ``tokenizer.decode(ids, skip_special_tokens=True)`` gives
        the text back up to the normalisation that the options state.
        """


@dataclass(frozen=True)
class Score:
    """A metric's verdict on one set of outputs."""

    metric: str
    value: float
    direction: Literal["higher", "lower"]
    unit: str
    signature: str
    """Version and settings, such as sacrebleu's signature."""
    interval: tuple[float, float] | None = None
    """95% confidence interval from resampling the test set (not over seeds)."""
    details: Mapping[str, Any] = field(default_factory=dict)


class Metric(ABC):
    """Built as ``target(options)``."""

    def __init__(self, options: Options) -> None:
        self.options = options

    @abstractmethod
    def score(self, outputs: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> Score:
        """Score a corpus of outputs. Raises ValueError where the lengths differ or nothing is given."""
