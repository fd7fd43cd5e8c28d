"""The contracts of corpora, tasks, tokenizers and metrics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from zoo.spec.options import Options
from zoo.tasks.context import ContextReading
from zoo.tasks.detection import GroundTruth
from zoo.tasks.home import DataHome
from zoo.tasks.images import ImageSource

if TYPE_CHECKING:
    # numpy takes longer to import than `zoo list` to answer.
    import numpy as np
    from numpy.typing import NDArray

Split = Literal["train", "dev", "test"]
SPLITS: tuple[Split, ...] = ("train", "dev", "test")
Side = Literal["source", "target"]
Input = Literal["text", "image"]
Output = Literal["text", "detections", "images"]
Progress = Callable[[str, int, int], None]
"""``progress(stage, done, total)``; total 0 where it is unknown."""


def silent(stage: str, done: int, total: int) -> None:
    """A progress report that nobody reads."""


@dataclass(frozen=True)
class Check:
    """One word of a translation that something else in the text decides, so that it is right or wrong for sure.

    `expected` must stand in an output, and none of `wrong` (the words that stand there when the cue is missed) in its
    place. `distance` counts the source words between the cue and what it decides, where that is known.
    """

    phenomenon: str
    """Such as ``homograph``, ``pronoun``, ``term``, ``register``, ``entity`` or ``rare-word``."""
    expected: str
    wrong: tuple[str, ...] = ()
    distance: int | None = None


@dataclass(frozen=True)
class Pair:
    """One aligned pair. `texts` maps a language code to a text; `order` counts within the document."""

    texts: Mapping[str, str]
    document: str | None = None
    order: int = 0
    domain: str | None = None
    licence: str | None = None
    """Of this pair, in a corpus that mixes licences."""
    checks: Mapping[str, tuple[Check, ...]] = field(default_factory=dict)
    """What is known for sure of a translation into each language."""
    contrasts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Wrong translations into each language, each unlike the right one where the context decides."""


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
    """The text that a model reads; of an image, what names it to a reader, such as its file."""
    target: str
    """The text that a model is to write; empty where it finds boxes."""
    document: str | None = None
    domain: str | None = None
    sentence: str | None = None
    """The part of `source` that `target` translates, where that holds more (context, a tag)."""
    context: str | None = None
    """What a second encoder reads, for tasks that give a second input."""
    tag: str | None = None
    """What `source` begins with, before a space, and keeps whatever else is left out."""
    context_lines: int = 0
    """How many lines, the furthest first, may be left out where a model reads too few tokens: of `context`, or of
    `source` behind its tag where that is None. See `zoo.tasks.fitting`."""
    checks: tuple[Check, ...] = ()
    """What must stand in the output, where the task knows for sure."""
    contrasts: tuple[str, ...] = ()
    """Wrong outputs that a model must find less likely than `target`."""
    image: ImageSource | None = None
    """What a model reads instead of `source`."""
    boxes: tuple[GroundTruth, ...] = ()
    """What a model is to find in `image`."""
    strata: Mapping[str, str] = field(default_factory=dict, hash=False)
    """The group that the example is in, by what groups it, such as ``{"aspect": "5-15", "height": "16"}``: for metrics
    that tell groups apart."""

    @property
    def translated(self) -> str:
        """What `target` translates: `sentence`, else `source`."""
        return self.source if self.sentence is None else self.sentence

    def with_less_context(self, lines: int) -> Example:
        """Without the first `lines` of its `context_lines`."""
        left = self.context_lines - lines
        if self.context is not None:
            return replace(self, context="\n".join(self.context.split("\n")[lines:]), context_lines=left)
        head = "" if self.tag is None else f"{self.tag} "
        rest = self.source.removeprefix(head).split("\n")[lines:]
        return replace(self, source=head + "\n".join(rest), context_lines=left)


class PreparedTask(ABC):
    """A task whose data is on disk."""

    revision: str
    """Content hash of the data that the examples are made from; with the task's options it decides them. Test sets with
    the same ids and targets may share it, so that models that read them in different ways stand on one board."""
    facts: Mapping[str, Any]
    special_tokens: tuple[str, ...] = ()
    """Strings of the examples' texts that are one token each, whatever the tokenizer learned: domain tags, and the line
    feed between the sentences of a document."""
    inputs: Input = "text"
    """What a model reads of an example, or learns to make: its `source`, or its `image`."""
    outputs: Output = "text"
    """What a model gives for an example, and a metric compares: texts with `target`, lists of `Detection` with
    `boxes`, or generated images, uint8 ``[height, width, 3]``, of which none belongs to any example."""

    @abstractmethod
    def examples(self, split: Split) -> Sequence[Example]:
        """The examples of a split, in a stable order. May read from disk as it is walked through."""

    def tokenizer_texts(self, side: Side | None = None) -> Iterator[str]:
        """The training texts that a tokenizer learns from: of one side, or of both in turn. No special tokens.

        Of images only the targets are texts."""
        for example in self.examples("train"):
            if side != "target" and self.inputs == "text":
                yield example.source
            if side != "source":
                yield example.target


class Task(ABC):
    """Built as ``target(options)``."""

    def __init__(self, options: Options) -> None:
        self.options = options

    @property
    @abstractmethod
    def name(self) -> str:
        """The board this task's models compete on, such as ``office-zh-en``."""

    @property
    def context(self) -> ContextReading | None:
        """What its models read of a document beside the sentence that they translate; None: nothing."""
        return None

    @abstractmethod
    def prepare(self, home: DataHome, progress: Progress = silent) -> PreparedTask:
        """Prepare the task's data."""


class TokenizerSource:
    """Where a tokenizer comes from: it is trained, or taken from a pretrained model. Built as ``target(options)``."""

    def __init__(self, options: Options) -> None:
        self.options = options


class TokenizerTrainer(TokenizerSource, ABC):
    """Trains one. Same texts and options give the same tokenizer, byte for byte."""

    @abstractmethod
    def train(self, texts: Iterator[str]) -> Any:
        """A `transformers.PreTrainedTokenizerFast` with pad (id 0), eos (1), bos (2) and unk (3) tokens.

        ``tokenizer(text)`` ends in eos and adds no bos; ``tokenizer.decode(ids, skip_special_tokens=True)`` gives
        the text back up to the normalisation that the options state.
        """

    @property
    def asked_for(self) -> int | None:
        """Tokens that the options ask for, the special ones of `train` included, so that a model can be counted before
        there is a tokenizer; None where they do not say. No training makes more."""
        return None


class PretrainedTokenizer(TokenizerSource, ABC):
    """Takes that of the model that a spec begins with (``model.from``); the component has the trait `pretrained`."""

    @abstractmethod
    def load(self, checkpoint: str) -> Any:
        """A tokenizer as transformers has it, from a folder or from a name on the hub; it pads on the right.

        ``tokenizer(text)`` ends in eos, whatever it begins with; its special ids are those of the checkpoint. Raises
        InputError where the checkpoint has no tokenizer, or one that breaks this.
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


Items = Sequence["NDArray[np.float64]"]
"""One vector per example: all that a metric needs to know of it. See `Metric.items`."""


class Metric(ABC):
    """Built as ``target(options)``: first what each example contributes, then a score of any multiset of examples.

    The two steps are apart so that intervals and significance tests can resample and swap examples, and so that a
    record can keep what each example contributed (numbers, no text) for comparisons made later elsewhere.
    """

    reads: Literal["outputs", "likelihoods"] = "outputs"
    """What is scored: what the model generates, or how likely it finds each example's target and contrasts: a vector
    ``[1 + contrasts]`` of log-probabilities in nats, the target's first. A control without a model has none."""
    learns: bool = False
    """Whether items are made with what `learn` found in the training data, which is then called first. Items hold all
    of it that a score needs: what is on record is scored again without that data."""

    def __init__(self, options: Options) -> None:
        self.options = options

    @property
    @abstractmethod
    def name(self) -> str:
        """Such as ``bleu``."""

    @property
    @abstractmethod
    def direction(self) -> Literal["higher", "lower"]:
        """Which values are better."""

    @property
    @abstractmethod
    def unit(self) -> str:
        """Such as ``points`` or ``fraction``."""

    @property
    @abstractmethod
    def signature(self) -> str:
        """Version and settings: scores of different signatures are not compared."""

    def prepare(self) -> None:  # noqa: B027 - most metrics need nothing
        """Find or fetch what scoring needs. Called before anything that takes long, so that a package or a checkpoint
        that is missing is not found out after training. Raises ZooError saying what to do.
        """

    @abstractmethod
    def items(self, outputs: Sequence[Any], references: Sequence[Any], sources: Sequence[Any]) -> Items:
        """What each of N examples contributes: N vectors of finite float64, whose lengths may differ.

        Outputs, references and sources are what the task's examples hold: texts in text tasks. Raises ValueError where
        the numbers differ or nothing is given.
        """

    def example_items(self, outputs: Sequence[Any], examples: Sequence[Example]) -> Items:
        """`items` of whole examples; for metrics that look at more of them than source and target.

        Outputs are what `reads` says. Raises ValueError where the numbers differ or nothing is given.
        """
        return self.items(outputs, [item.target for item in examples], [item.translated for item in examples])

    def learn(self, task: PreparedTask, progress: Progress = silent) -> None:  # noqa: B027 - most metrics need none
        """Look at the data that models of `task` are trained on, such as how often its words stand there.

        Called after `prepare` and before `accept`, once for many sets of examples. What was found belongs into the
        signature, as a revision: scores against other training data are other scores.
        """

    def in_words(self, outputs: Sequence[Any], examples: Sequence[Example]) -> Sequence[str] | None:
        """What a record shows of outputs that are no texts (generated images), one text each; None where the metric
        has none for them."""
        return None

    def beside(self, outputs: Sequence[Any], examples: Sequence[Example]) -> Mapping[str, float]:
        """Scalars that say what the score rests on, such as the accuracy of a classifier that reads the outputs: a
        record keeps them beside the scores, by ``<metric>.<name>``."""
        return {}

    def accept(self, examples: Sequence[Example]) -> None:  # noqa: B027 - most metrics take any
        """Raise InputError where `examples` lack what this metric looks at. Called before anything that takes long."""

    @abstractmethod
    def combined(self, items: Items, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Corpus scores ``[B]`` in which example i counts ``weights[b, i]`` times; weights ``[B, N]``, not negative."""

    def interval(self, items: Items) -> tuple[float, float] | None:
        """95% interval of the corpus score over the choice of examples: percentile bootstrap unless overridden."""
        from zoo.statistics import percentile_interval

        return percentile_interval(len(items), lambda weights: self.combined(items, weights))

    def details(self, items: Items) -> Mapping[str, Any]:
        """What else a reader of the corpus score may ask for, such as BLEU's precisions: JSON-ready."""
        return {}

    def score_items(self, items: Items) -> Score:
        """The corpus score of all items, with its interval and details."""
        import numpy as np

        value = float(self.combined(items, np.ones((1, len(items))))[0])
        interval, details = self.interval(items), self.details(items)
        return Score(self.name, value, self.direction, self.unit, self.signature, interval, details)

    def score(self, outputs: Sequence[Any], references: Sequence[Any], sources: Sequence[Any]) -> Score:
        """Score a corpus of outputs. Raises ValueError where the lengths differ or nothing is given."""
        return self.score_items(self.items(outputs, references, sources))

    def segments(self, items: Items) -> NDArray[np.float64]:
        """The score of each example by itself, ``[N]``; NaN where an example has none."""
        import numpy as np

        one = np.ones((1, 1))
        return np.array([self.combined([item], one)[0] for item in items])


class SummedMetric(Metric):
    """A metric whose corpus score is a function of sums over examples, as BLEU, chrF, TER, CER and every mean are."""

    @abstractmethod
    def of_sums(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scores ``[B]`` of summed items ``[B, K]``."""

    def combined(self, items: Items, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        import numpy as np

        return self.of_sums(weights @ np.stack(items))  # [B]

    def segments(self, items: Items) -> NDArray[np.float64]:
        import numpy as np

        return self.of_sums(np.stack(items))  # [N]
