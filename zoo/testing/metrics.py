"""What is asked of metrics."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest

from zoo.errors import ZooError
from zoo.spec.options import Chosen
from zoo.tasks import Check, Detection, Example, GroundTruth, Items, Metric, PreparedTask, Score
from zoo.tasks.contracts import Split
from zoo.testing.suite import ComponentSuite
from zoo.testing.surroundings import untouched_surroundings


@dataclass(frozen=True)
class MetricData:
    """What a metric is tried on: one entry an example in each of the sequences, 12 examples or more."""

    sources: Sequence[Any]
    references: Sequence[Any]
    right: Sequence[Any]
    """Outputs that nothing is wrong with."""
    wrong: Sequence[Any]
    """Outputs that nothing is right with."""
    empty: Any
    """The output of a model that gives none."""
    checks: Sequence[tuple[Check, ...]] = ()
    """Of each example what must stand in its output; for metrics that look at checks. The first example has one."""
    contrasts: Sequence[tuple[str, ...]] = ()
    """Of each example the wrong outputs; for metrics that compare likelihoods."""
    strata: Sequence[Mapping[str, str]] = ()
    """Of each example the groups that it is in; for metrics that tell them apart."""

    def task(self, rows: Sequence[int] | None = None) -> PreparedTask:
        """Training data, for metrics that learn from it: the examples of these rows, or all."""
        return _TrainedOn(self.examples(rows))

    def examples(self, rows: Sequence[int] | None = None) -> list[Example]:
        """The examples of these rows, in their order; all of them where absent."""
        none: list[tuple[Any, ...]] = [()] * len(self.references)
        checks, contrasts = self.checks or none, self.contrasts or none
        strata = self.strata or [{}] * len(self.references)
        return [
            Example(
                id=str(row),
                source=self.sources[row],
                target=self.references[row] if isinstance(self.references[row], str) else "",
                checks=checks[row],
                contrasts=contrasts[row],
                boxes=() if isinstance(self.references[row], str) else tuple(self.references[row]),
                strata=strata[row],
            )
            for row in (range(len(self.references)) if rows is None else rows)
        ]

    @property
    def mixed(self) -> list[Any]:
        """Right, wrong and half right, so that examples differ in what they contribute."""
        third = len(self.right) // 3
        return [*self.right[:third], *self.wrong[third : 2 * third], self.empty, *self.right[2 * third + 1 :]]


class _TrainedOn(PreparedTask):
    """A task whose splits all hold the same examples."""

    revision = "sha256:" + "0" * 64
    facts: Mapping[str, Any] = {}

    def __init__(self, examples: Sequence[Example]) -> None:
        self._examples = examples

    def examples(self, split: Split) -> Sequence[Example]:
        return self._examples


def _texts() -> MetricData:
    references = [f"source number {index} is a short one" + " indeed" * (index % 4) for index in range(12)]
    return MetricData(
        sources=[f"quelle nummer {index} ist kurz" for index in range(12)],
        references=references,
        right=references,
        wrong=["zzz qqq"] * 12,
        empty="",
        # Every fourth example has none.
        checks=[(Check("homograph", str(index), ("zzz",), index),) if index % 4 < 3 else () for index in range(12)],
        strata=[{"aspect": ("5-15", "15-40")[index % 2], "height": ("8", "16")[index // 6]} for index in range(12)],
    )


def _detections() -> MetricData:
    draw = random.Random(11)
    references, right, wrong = [], [], []
    for _ in range(12):
        corners = [(draw.uniform(0, 300), draw.uniform(0, 300)) for _ in range(draw.randrange(1, 4))]
        truths = [GroundTruth((x, y, x + 40, y + 30), draw.randrange(1, 3)) for x, y in corners]
        references.append(truths)
        # Scores that differ: how equal ones rank is nobody's promise.
        right.append([Detection(truth.box, draw.random(), truth.category) for truth in truths])
        wrong.append([Detection((900, 900, 940, 930), draw.random(), truth.category) for truth in truths])
    return MetricData([f"{index}.jpg" for index in range(12)], references, right, wrong, [])


def _documents() -> MetricData:
    lines = [[f"sentence {line} of document {index}" for line in range(2 + index % 3)] for index in range(12)]
    references = ["\n".join(document) for document in lines]
    sources = [reference.replace("sentence", "satz") for reference in references]
    return MetricData(sources, references, right=references, wrong=["zzz qqq"] * 12, empty="")


def _likelihoods() -> MetricData:
    right = [np.array([-1.0, -2.0 - index, -3.0][: 2 + index % 2]) for index in range(12)]
    wrong = [scores[::-1].copy() for scores in right]
    contrasts = [("wrong",) * (len(scores) - 1) for scores in right]
    texts = [f"text {index}" for index in range(12)]
    return MetricData(texts, texts, right, wrong, empty=np.array([-2.0, -1.0]), contrasts=contrasts)


_DATA = {"text": _texts, "documents": _documents, "detections": _detections, "likelihoods": _likelihoods}


class MetricSuite(ComponentSuite):
    """Metrics: see `zoo.tasks.Metric`.

    The record's trait ``outputs`` says what the metric judges: ``text`` (where the trait is absent), ``documents`` (a
    line a sentence), ``detections`` (`zoo.tasks.Detection` against `zoo.tasks.GroundTruth`) or ``likelihoods``
    (log-probabilities of a target and its contrasts). For anything else, and for other examples, override `data`.
    """

    kind: ClassVar[str] = "metric"

    def data(self) -> MetricData:
        """What the metric is tried on."""
        outputs = self.registered().traits.get("outputs", "text")
        if outputs not in _DATA:
            pytest.skip(f"the kit has no examples of outputs '{outputs}': override MetricSuite.data")
        return _DATA[outputs]()

    def metric(self, chosen: Chosen) -> Metric:
        """The metric, which has learned from the training data."""
        metric: Metric = chosen.create()
        metric.learn(self.data().task())
        return metric

    def items(self, chosen: Chosen, outputs: Sequence[Any], rows: Sequence[int] | None = None) -> Items:
        """What the examples of these rows contribute with these outputs."""
        return self._items(self.metric(chosen), outputs, rows)

    def score(self, chosen: Chosen, outputs: Sequence[Any], rows: Sequence[int] | None = None) -> Score:
        """The score of `outputs` against the references of these rows."""
        metric = self.metric(chosen)
        score = metric.score_items(self._items(metric, outputs, rows))
        assert isinstance(score, Score)
        return score

    def _items(self, metric: Metric, outputs: Sequence[Any], rows: Sequence[int] | None) -> Items:
        assert isinstance(metric, Metric)
        metric.accept(self.data().examples())
        return metric.example_items(outputs, self.data().examples(rows))

    def test_a_score_says_what_it_is(self, chosen: Chosen) -> None:
        score = self.score(chosen, self.data().right)
        assert score.metric.strip()
        assert score.signature.strip(), "version and settings"
        assert score.direction in {"higher", "lower"}
        assert isinstance(score.value, float)
        assert isinstance(score.unit, str)
        for outputs in (self.data().right, self.data().wrong):
            json.dumps(dict(self.score(chosen, outputs).details), allow_nan=False)

    def test_the_references_beat_nonsense(self, chosen: Chosen) -> None:
        best, worst = self.score(chosen, self.data().right), self.score(chosen, self.data().wrong)
        sign = 1 if best.direction == "higher" else -1
        assert sign * best.value > sign * worst.value

    def test_the_interval_holds_the_value(self, chosen: Chosen) -> None:
        data = self.data()
        for outputs in (data.right, data.wrong, data.mixed):
            score = self.score(chosen, outputs)
            if score.interval is not None:
                low, high = score.interval
                assert low - 1e-9 <= score.value <= high + 1e-9

    def test_scoring_again_gives_the_same(self, chosen: Chosen) -> None:
        mixed = self.data().mixed
        with untouched_surroundings():
            chosen.create().prepare()
            first = self.score(chosen, mixed)
        assert self.score(chosen, mixed) == first

    def test_an_empty_output_is_an_output(self, chosen: Chosen) -> None:
        data = self.data()
        score, best = self.score(chosen, [data.empty, *data.right[1:]]), self.score(chosen, data.right)
        assert score.value == score.value
        assert score.value != best.value

    @pytest.mark.parametrize("case", ["nothing", "too few outputs", "too few sources"])
    def test_lists_that_do_not_fit_are_refused(self, chosen: Chosen, case: str) -> None:
        metric = self.metric(chosen)
        data = self.data()
        outputs, references, sources = list(data.right), list(data.references), list(data.sources)
        if case == "nothing":
            outputs, references, sources = [], [], []
        elif case == "too few outputs":
            outputs = outputs[:-1]
        else:
            sources = sources[:-1]
        with pytest.raises(ValueError, match=r"."):
            metric.score(outputs, references, sources)
        if case != "too few sources":
            with pytest.raises(ValueError, match=r"."):
                metric.example_items(outputs, data.examples([] if case == "nothing" else None))

    def test_texts_without_examples_have_items_too(self, chosen: Chosen) -> None:
        data, metric = self.data(), self.metric(chosen)
        items = metric.items(data.mixed, data.references, data.sources)
        assert len(items) == len(data.mixed)
        assert all(np.isfinite(item).all() for item in items)
        assert np.isfinite(metric.combined(items, np.ones((1, len(items))))).all()

    def test_what_it_learns_is_asked_for_and_signed(self, chosen: Chosen) -> None:
        metric: Metric = chosen.create()
        before, data = metric.signature, self.data()
        metric.learn(data.task())
        assert (metric.signature != before) == metric.learns, "what is learned stands in the signature"
        if metric.learns:
            assert self.metric(chosen).signature == metric.signature
            less: Metric = chosen.create()
            less.learn(data.task(range(len(data.references) // 2)))
            assert less.signature != metric.signature, "of other training data"
            with pytest.raises(ZooError):
                chosen.create().example_items(data.right, data.examples())

    # The two steps: items, then the score of any multiset of them

    def test_items_are_vectors_of_finite_numbers(self, chosen: Chosen) -> None:
        mixed = self.data().mixed
        items = self.items(chosen, mixed)
        assert len(items) == len(mixed), "one vector for each example"
        for item in items:
            assert isinstance(item, np.ndarray)
            assert item.ndim == 1, f"shape {item.shape}: expected a vector"
            assert item.dtype == np.float64, f"{item.dtype}: a record keeps float64"
            assert np.isfinite(item).all(), "a record keeps finite numbers"

    def test_items_alone_make_the_score(self, chosen: Chosen) -> None:
        items, score = self.items(chosen, self.data().mixed), self.score(chosen, self.data().mixed)
        # As a file gives them back, and to a metric that has seen no outputs and no training data.
        read = [np.array(json.loads(json.dumps(item.tolist())), dtype=np.float64) for item in items]
        again = chosen.create()
        # What was learned is named by the signature alone.
        assert replace(again.score_items(read), signature=score.signature) == score
        assert again.combined(read, np.ones((1, len(read))))[0] == score.value

    def test_a_weight_says_how_often_an_example_counts(self, chosen: Chosen) -> None:
        mixed, metric = self.data().mixed, chosen.create()
        counts = [index**2 % 5 for index in range(len(mixed))]
        chosen_rows = [index for index, count in enumerate(counts) for _ in range(count)]
        repeated = self.score(chosen, [mixed[row] for row in chosen_rows], chosen_rows)
        weights = np.array([counts], dtype=np.float64)
        combined = metric.combined(self.items(chosen, mixed), weights)
        assert combined.shape == (1,)
        assert combined[0] == pytest.approx(repeated.value, rel=1e-9, abs=1e-12)

    def test_each_row_of_weights_is_scored_by_itself(self, chosen: Chosen) -> None:
        items, metric = self.items(chosen, self.data().mixed), chosen.create()
        weights = np.random.default_rng(2).multinomial(len(items), np.full(len(items), 1 / len(items)), size=5)
        together = metric.combined(items, weights.astype(np.float64))
        alone = [metric.combined(items, row[None].astype(np.float64))[0] for row in weights]
        assert together == pytest.approx(np.array(alone), rel=1e-9, abs=1e-12)

    def test_the_order_of_examples_does_not_matter(self, chosen: Chosen) -> None:
        mixed, metric = self.data().mixed, chosen.create()
        rows = list(range(len(mixed)))
        third = len(rows) // 3
        ones = np.ones((1, len(rows)))
        expected = metric.combined(self.items(chosen, mixed), ones)[0]
        for order in ([*rows[third:], *rows[:third]], random.Random(3).sample(rows, len(rows))):
            items = self.items(chosen, [mixed[row] for row in order], order)
            assert metric.combined(items, ones)[0] == pytest.approx(expected, rel=1e-9, abs=1e-12)

    def test_segments_are_the_scores_of_single_examples(self, chosen: Chosen) -> None:
        mixed, metric = self.data().mixed, chosen.create()
        segments = metric.segments(self.items(chosen, mixed))
        assert segments.shape == (len(mixed),)
        for row, value in enumerate(segments):
            if not np.isnan(value):  # an example may have no score by itself
                alone = self.score(chosen, [mixed[row]], [row])
                assert value == pytest.approx(alone.value, rel=1e-9, abs=1e-12)
