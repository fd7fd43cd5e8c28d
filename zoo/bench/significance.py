"""From the scores of two models to an interval of their difference and a p-value: the test that the records allow.

- One trained model of each, with their outputs: paired approximate randomization on the test examples, and a paired
  bootstrap interval. That compares these two trained models; it says nothing of what another seed would give.
- Several seeds of each, with outputs: seeds and examples together. Without outputs: Welch's test on the seeds.
- One each, and no outputs: whether the recorded intervals touch.
- A peer gives the same with every seed: against several seeds of a model it counts as seeds that do not differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from zoo.bench.outputs import MetricOutputs, Outputs, read_outputs
from zoo.bench.record import Quality, Record
from zoo.bench.rescoring import metric_of, rescored
from zoo.bench.standings import MetricKey
from zoo.errors import ZooError
from zoo.statistics import (
    Interval,
    Weighted,
    paired_randomization,
    percentile_interval,
    seeds_by_items,
    sign_flip_test,
    welch_test,
)
from zoo.tasks import Metric, SummedMetric

Evidence = Literal["test examples", "training seeds", "training seeds and test examples", "intervals on record"]
_TRIALS = 10_000
_TRIALS_OF_SLOW_METRICS = 1_000
"""For metrics that are not one matrix product."""
_SIGN_FLIPS_FROM = 6
"""Pairs of seeds below which no p-value can reach .05."""
_SAME = 1e-6
"""Relative difference up to which a metric has given the recorded score again."""
_Items = Sequence[NDArray[np.float64]]
T = TypeVar("T")


class Scored(NamedTuple):
    """One seed's score by one metric."""

    record: Record
    folder: Path
    score: Quality


@dataclass(frozen=True)
class Finding:
    """What is known of the difference B - A of two models by one metric."""

    before: tuple[float, ...]
    """The score of each seed that was compared."""
    after: tuple[float, ...]
    evidence: Evidence | None
    """None where the records say too little for any verdict."""
    method: str | None
    interval: Interval | None = None
    """Of the difference, 95%."""
    p_value: float | None = None
    welch_p_value: float | None = None
    sign_flip_p_value: float | None = None
    notes: tuple[str, ...] = ()


@dataclass
class OutputsReader:
    """Reads each record's outputs once, however many metrics ask for them."""

    _known: dict[tuple[Path, str], Outputs] = field(default_factory=dict)

    def read(self, scored: Scored) -> Outputs:
        """Raises ZooError where the record has none or they cannot be read."""
        key = (scored.folder, scored.record.id)
        if key not in self._known:
            self._known[key] = read_outputs(scored.folder, scored.record)
        return self._known[key]


def examine(key: MetricKey, before: Sequence[Scored], after: Sequence[Scored], reader: OutputsReader) -> Finding:
    """Compare two models' scores, one or more seeds each, by the metric `key`."""
    notes: list[str] = []
    peers = [side[0].record.role == "peer" for side in (before, after)]
    if min(len(before), len(after)) == 1 < max(len(before), len(after)) and not any(peers):
        before, after = _one_each(before, after)
        seeds = (before[0].record.seed, after[0].record.seed)
        notes.append(f"one side has one seed: seed {seeds[0]} of A and seed {seeds[1]} of B are compared")
    items: tuple[Metric, list[_Items], list[_Items]] | None = None
    try:
        items = _aligned(key, before, after, reader)
    except ZooError as error:
        notes.append(f"without per-example outputs: {error}")
    if len(before) == len(after) == 1:
        return _of_models(before[0], after[0], items, notes)
    return _of_seeds(before, after, items, notes)


def _one_each(before: Sequence[Scored], after: Sequence[Scored]) -> tuple[list[Scored], list[Scored]]:
    """One seed of each side: the same where there is one."""
    for one in before:
        for other in after:
            if one.record.seed == other.record.seed:
                return [one], [other]
    return [before[0]], [after[0]]


def _of_models(
    before: Scored, after: Scored, kept: tuple[Metric, list[_Items], list[_Items]] | None, notes: list[str]
) -> Finding:
    values = (before.score.value,), (after.score.value,)
    if kept is None:
        return _of_intervals(before.score, after.score, notes)
    metric, (ours,), (theirs,) = kept
    examples = len(ours)
    both = [*ours, *theirs]
    trials = _TRIALS if isinstance(metric, SummedMetric) else _TRIALS_OF_SLOW_METRICS
    found = paired_randomization(examples, _weighted(metric, both), trials=trials)
    first, second = _weighted(metric, ours), _weighted(metric, theirs)
    interval = percentile_interval(examples, lambda weights: second(weights) - first(weights))
    method = f"paired approximate randomization, {trials} trials; paired bootstrap interval"
    return Finding(*values, "test examples", method, interval, found.p_value, notes=tuple(notes))


def _of_intervals(before: Quality, after: Quality, notes: list[str]) -> Finding:
    values = (before.value,), (after.value,)
    if before.interval is None or after.interval is None:
        return Finding(*values, None, None, notes=(*notes, "no interval on record either"))
    interval = (after.interval[0] - before.interval[1], after.interval[1] - before.interval[0])
    method = "whether the recorded 95% intervals touch"
    return Finding(*values, "intervals on record", method, interval, notes=tuple(notes))


def _of_seeds(
    before: Sequence[Scored],
    after: Sequence[Scored],
    kept: tuple[Metric, list[_Items], list[_Items]] | None,
    notes: list[str],
) -> Finding:
    ours, theirs = (tuple(item.score.value for item in side) for side in (before, after))
    welch = welch_test(_of_some_seeds(ours), _of_some_seeds(theirs))
    peer = 1 in (len(before), len(after))
    flips, note = (None, None) if peer else _sign_flips(before, after)
    notes = [*notes, *([note] if note else [])]
    if kept is None:
        method = "Welch's t test on the seeds' scores"
        interval, p_value = welch.interval, welch.p_value
        return Finding(ours, theirs, "training seeds", method, interval, p_value, welch.p_value, flips, tuple(notes))
    metric, our_items, their_items = kept
    first, second = ([_weighted(metric, items) for items in side] for side in (our_items, their_items))
    found = seeds_by_items(_of_some_seeds(first), _of_some_seeds(second), len(our_items[0]))
    return Finding(
        ours,
        theirs,
        "training seeds and test examples",
        "two-way bootstrap of seeds and examples",
        found.interval,
        found.p_value,
        welch.p_value,
        flips,
        tuple(notes),
    )


def _of_some_seeds(side: Sequence[T]) -> Sequence[T]:
    """What each seed gave. A peer's one result stands for every seed's: two that are equal have no variance."""
    return [*side, *side] if len(side) == 1 else side


def _sign_flips(before: Sequence[Scored], after: Sequence[Scored]) -> tuple[float | None, str | None]:
    """The p-value over pairs of equal seeds; None and why where they are too few."""
    ours, theirs = ({item.record.seed: item.score.value for item in side} for side in (before, after))
    common = sorted(set(ours) & set(theirs))
    if len(common) < _SIGN_FLIPS_FROM:
        return None, f"no sign-flip test: {len(common)} pairs of equal seeds, and fewer than 6 cannot reach .05"
    return sign_flip_test([theirs[seed] - ours[seed] for seed in common]).p_value, None


def _weighted(metric: Metric, items: _Items) -> Weighted:
    return lambda weights: metric.combined(items, weights)


def _aligned(
    key: MetricKey, before: Sequence[Scored], after: Sequence[Scored], reader: OutputsReader
) -> tuple[Metric, list[_Items], list[_Items]]:
    """The metric, and each seed's items in one order of the examples. Raises ZooError where they are not to be had."""
    ids: tuple[str, ...] | None = None
    metric: Metric | None = None
    sides: list[list[_Items]] = []
    for scored_side in (before, after):
        sides.append([])
        for scored in scored_side:
            outputs = reader.read(scored)
            ids = ids or outputs.ids
            kept = _of_metric(key, outputs, scored.record)
            metric = metric or metric_of(kept)
            _check_reproduced(metric, kept, scored)
            sides[-1].append(_in_order(ids, outputs.ids, kept.items, scored.record))
    assert metric is not None
    return metric, sides[0], sides[1]


def _of_metric(key: MetricKey, outputs: Outputs, record: Record) -> MetricOutputs:
    for kept in outputs.metrics:
        if (kept.metric, kept.signature, outputs.split) == (key.metric, key.signature, key.split):
            return kept
    raise ZooError(f"the outputs of record {record.id} do not hold {key.metric} with this signature")


def _check_reproduced(metric: Metric, kept: MetricOutputs, scored: Scored) -> None:
    """Another version of a plugin may read the items another way: it must give the recorded score again."""
    recorded = scored.score.value
    try:
        value = rescored(metric, kept)
    except ValueError as error:
        raise ZooError(f"{kept.metric} of record {scored.record.id}: {error}") from None
    if not abs(value - recorded) <= _SAME * max(1.0, abs(recorded)):
        raise ZooError(
            f"{kept.metric} as installed makes {value:.6g} of the outputs of record {scored.record.id}, "
            f"which says {recorded:.6g}"
        )


def _in_order(wanted: tuple[str, ...], ids: tuple[str, ...], items: _Items, record: Record) -> _Items:
    if ids == wanted:
        return items
    place = {example: index for index, example in enumerate(ids)}
    if len(place) != len(ids) or set(ids) != set(wanted) or len(ids) != len(wanted):
        raise ZooError(f"the outputs of record {record.id} are of other examples")
    return [items[place[example]] for example in wanted]
