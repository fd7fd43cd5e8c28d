"""The kit fails metrics and probes that break their contract."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from zoo.errors import ZooError
from zoo.probes.contracts import Probe, ProbeContext, ProbeResult, Series
from zoo.probes.options import ProbeOptions
from zoo.probes.reading import encoder_of
from zoo.tasks import Items, PreparedTask, SummedMetric
from zoo.tasks.contracts import Progress, silent
from zoo.testing import ComponentSuite, MetricSuite, ProbeSuite

Installed = Callable[..., ComponentSuite]
Run = Callable[..., None]
CAUGHT = (AssertionError, pytest.fail.Exception)


class WrongWay(SummedMetric):
    """Calls the number of errors a score where higher is better, and draws from the global generator."""

    name = "errors"
    direction = "higher"
    unit = "errors"
    signature = "v1"

    def items(self, outputs: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> Items:
        pairs = zip(outputs, references, strict=False)
        return [np.array([output != reference, 1e-9 * random.random()], dtype=float) for output, reference in pairs]

    def of_sums(self, sums: np.ndarray) -> np.ndarray:
        return sums.sum(axis=1)

    def interval(self, items: Items) -> tuple[float, float]:
        return 99.0, 100.0


def test_a_broken_metric_is_caught(installed: Installed, run: Run) -> None:
    suite = installed(MetricSuite, WrongWay)
    for test in ("test_the_references_beat_nonsense", "test_the_interval_holds_the_value"):
        with pytest.raises(AssertionError):
            run(suite, test)
    with pytest.raises(AssertionError, match="random's state"):
        run(suite, "test_scoring_again_gives_the_same")
    with pytest.raises(CAUGHT, match="DID NOT RAISE"):
        run(suite, "test_lists_that_do_not_fit_are_refused", "too few outputs")


class Hits(SummedMetric):
    """The number of outputs that are right: nothing wrong with it."""

    name = "hits"
    direction = "higher"
    unit = "hits"
    signature = "v1"

    def items(self, outputs: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> Items:
        if not len(outputs) == len(references) == len(sources) > 0:
            raise ValueError("expected equal numbers")
        pairs = zip(outputs, references, strict=True)
        return [np.array([output == reference, 1.0], dtype=np.float64) for output, reference in pairs]

    def of_sums(self, sums: np.ndarray) -> np.ndarray:
        return sums[:, 0] / sums[:, 1]


class CountsOnce(Hits):
    """Takes any weight for one."""

    def combined(self, items: Items, weights: np.ndarray) -> np.ndarray:
        return super().combined(items, (weights > 0).astype(float))


class Remembers(Hits):
    """Scores the outputs it has seen, whatever items it is given."""

    seen: Items = ()

    def items(self, outputs: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> Items:
        self.seen = super().items(outputs, references, sources)
        return [np.zeros(2) for _ in self.seen]

    def combined(self, items: Items, weights: np.ndarray) -> np.ndarray:
        return super().combined(self.seen or [np.ones(2) for _ in items], weights)


class FirstIsWorthMore(Hits):
    """Lets the first example count double."""

    def items(self, outputs: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> Items:
        first, *others = super().items(outputs, references, sources)
        return [2 * first, *others]


class OneForAll(Hits):
    """Mixes the rows of weights."""

    def combined(self, items: Items, weights: np.ndarray) -> np.ndarray:
        return super().combined(items, weights.mean(axis=0, keepdims=True).repeat(len(weights), axis=0))


class SameForEach(Hits):
    """Gives every segment the score of the corpus."""

    def segments(self, items: Items) -> np.ndarray:
        return self.combined(items, np.ones((1, len(items)))).repeat(len(items))


class SinglePrecision(Hits):
    """Items that a record would change."""

    def items(self, outputs: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> Items:
        return [item.astype(np.float32) for item in super().items(outputs, references, sources)]  # type: ignore[misc]


@pytest.mark.parametrize(
    ("broken", "test"),
    [
        (CountsOnce, "test_a_weight_says_how_often_an_example_counts"),
        (Remembers, "test_items_alone_make_the_score"),
        (FirstIsWorthMore, "test_the_order_of_examples_does_not_matter"),
        (OneForAll, "test_each_row_of_weights_is_scored_by_itself"),
        (SameForEach, "test_segments_are_the_scores_of_single_examples"),
        (SinglePrecision, "test_items_are_vectors_of_finite_numbers"),
    ],
)
def test_a_metric_that_breaks_its_two_steps_is_caught(
    installed: Installed, run: Run, broken: type[SummedMetric], test: str
) -> None:
    run(installed(MetricSuite, Hits), test)
    with pytest.raises(AssertionError):
        run(installed(MetricSuite, broken), test)


class Learns(Hits):
    """Needs the training data, and says of which it has seen: nothing wrong with it."""

    learns = True
    seen = 0

    @property
    def signature(self) -> str:  # type: ignore[override]
        return f"v1|trained on:{self.seen}"

    def learn(self, task: PreparedTask, progress: Progress = silent) -> None:
        self.seen = len(task.examples("train"))

    def items(self, outputs: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> Items:
        if not self.seen:
            raise ZooError("learn first")
        return super().items(outputs, references, sources)


class SaysNothingOfIt(Learns):
    """Leaves what it learned out of the signature."""

    signature = "v1"


class ScoresUnlearned(Learns):
    """Makes items of training data that it has not seen."""

    def items(self, outputs: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> Items:
        return Hits.items(self, outputs, references, sources)


class NeedsItAgain(Learns):
    """Cannot score what is on record without the training data."""

    def combined(self, items: Items, weights: np.ndarray) -> np.ndarray:
        return super().combined(items, weights) * min(self.seen, 1)


@pytest.mark.parametrize(
    ("broken", "test"),
    [
        (SaysNothingOfIt, "test_what_it_learns_is_asked_for_and_signed"),
        (ScoresUnlearned, "test_what_it_learns_is_asked_for_and_signed"),
        (NeedsItAgain, "test_items_alone_make_the_score"),
    ],
)
def test_a_metric_that_learns_on_the_quiet_is_caught(
    installed: Installed, run: Run, broken: type[SummedMetric], test: str
) -> None:
    run(installed(MetricSuite, Learns), test)
    with pytest.raises(CAUGHT):
        run(installed(MetricSuite, broken), test)


def test_a_metric_of_other_outputs_is_tried_on_data_of_its_own(installed: Installed, run: Run) -> None:
    suite = installed(MetricSuite, Hits, traits={"outputs": "sounds"})
    with pytest.raises(pytest.skip.Exception, match="no examples of outputs 'sounds': override MetricSuite.data"):
        run(suite, "test_items_alone_make_the_score")


class Norm(Probe):
    """The norm of the first parameter, and the loss of the sample: nothing wrong with it."""

    def measure(self, context: ProbeContext) -> ProbeResult:
        (batch, *_) = context.batches()
        logits = context.model(**batch.inputs(), use_cache=False).logits.detach()
        weight = next(iter(context.model.parameters())).detach()
        series = Series("part", "value", ("logits", "weight"), {"norm": (float(logits.norm()), float(weight.norm()))})
        return ProbeResult({"weight": float(weight.norm())}, {"norms": series})


class Trains(Norm):
    """Moves a weight."""

    def measure(self, context: ProbeContext) -> ProbeResult:
        with torch.no_grad():
            next(iter(context.model.parameters())).add_(1e-4)
        return super().measure(context)


class Backward(Norm):
    """Leaves gradients behind."""

    needs_gradients = True

    def measure(self, context: ProbeContext) -> ProbeResult:
        (batch, *_) = context.batches()
        context.model(**batch.inputs(), use_cache=False).logits.sum().backward()
        return super().measure(context)


class LeavesHook(Norm):
    """Goes on listening."""

    def measure(self, context: ProbeContext) -> ProbeResult:
        context.model.get_encoder().register_forward_hook(lambda *given: None)
        return super().measure(context)


class DrawsGlobally(Norm):
    """Takes its numbers from everybody's generator."""

    def measure(self, context: ProbeContext) -> ProbeResult:
        torch.rand(1)
        return super().measure(context)


class Restless(Norm):
    """Finds something else each time."""

    count = 0

    def measure(self, context: ProbeContext) -> ProbeResult:
        type(self).count += 1
        return ProbeResult({"count": self.count})


class Silent(Norm):
    """Finds nothing."""

    def measure(self, context: ProbeContext) -> ProbeResult:
        return ProbeResult()


class MixesPlaces(Norm):
    """Names and numbers on one axis."""

    def measure(self, context: ProbeContext) -> ProbeResult:
        return ProbeResult(series={"mixed": Series("place", "value", (1, "two"), {"one": (1.0, 2.0)})})  # type: ignore[arg-type]


class NeedsAnEncoder(Norm):
    """Says so when it is too late."""

    def measure(self, context: ProbeContext) -> ProbeResult:
        (batch, *_) = context.batches()
        context.model.encoder(batch.input_ids)
        return super().measure(context)


class RefusesLanguageModels(NeedsAnEncoder):
    """Says so in time."""

    def accept(self, model: Any) -> None:
        encoder_of(model, "tested")


def test_a_probe_says_in_time_that_it_cannot_read_language_models(installed: Installed, run: Run) -> None:
    test = "test_a_language_model_is_read_or_refused"
    run(installed(ProbeSuite, RefusesLanguageModels, options=ProbeOptions), test, "causal-lm")
    with pytest.raises((AttributeError, TypeError)):
        run(installed(ProbeSuite, NeedsAnEncoder, options=ProbeOptions), test, "causal-lm")


@pytest.mark.parametrize(
    ("broken", "test"),
    [
        (Trains, "test_the_model_is_left_as_it_was"),
        (Backward, "test_the_model_is_left_as_it_was"),
        (LeavesHook, "test_the_model_is_left_as_it_was"),
        (DrawsGlobally, "test_the_random_state_is_left_as_it_was"),
        (Restless, "test_measuring_again_finds_the_same"),
        (Silent, "test_it_finds_something_and_says_what"),
        (MixesPlaces, "test_it_finds_something_and_says_what"),
    ],
)
def test_a_probe_that_breaks_its_contract_is_caught(
    installed: Installed, run: Run, broken: type[Probe], test: str
) -> None:
    run(installed(ProbeSuite, Norm, options=ProbeOptions), test)
    with pytest.raises(AssertionError):
        run(installed(ProbeSuite, broken, options=ProbeOptions), test)
