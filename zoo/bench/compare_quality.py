"""The quality of two models, metric by metric: what can be compared, and the verdicts over everything at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from zoo.bench.selection import Model
from zoo.bench.significance import Finding, OutputsReader, Scored, examine
from zoo.bench.standings import MetricKey
from zoo.statistics import benjamini_hochberg, holm

QualityVerdict = Literal["better", "worse", "no difference shown", "not comparable"]
Correction = Literal["holm", "fdr"]
"""What alpha bounds over all that is compared in one run: the chance of any false alarm (Holm), or the expected share
of false ones among the differences found (Benjamini and Hochberg), which finds more where very many are compared."""
_ADJUST = {"holm": holm, "fdr": benjamini_hochberg}


@dataclass(frozen=True)
class QualityComparison:
    """One metric of two models, A and B."""

    key: MetricKey
    finding: Finding | None
    """None where the scores cannot be compared."""
    verdict: QualityVerdict = "not comparable"
    """B against A."""
    why: str | None = None
    """Why they are not comparable."""
    adjusted_p_value: float | None = None
    """Over all that is compared in one run."""
    before: float | None = None
    """Mean over the seeds."""
    after: float | None = None

    @property
    def difference(self) -> float | None:
        """B - A, of comparable scores."""
        if self.finding is None or self.before is None or self.after is None:
            return None
        return self.after - self.before


_Scores = dict[MetricKey, list[Scored]]


def compare_quality(
    before: Model, after: Model, reader: OutputsReader, metrics: Sequence[str] = ()
) -> list[QualityComparison]:
    """Every metric that either model was scored by, or only `metrics`; undecided until `decided`.

    None where either has no result.
    """
    if not before.records or not after.records:
        return []
    ours, theirs = _scores(before), _scores(after)
    found = []
    for key in [*ours, *(key for key in theirs if key not in ours)]:
        if metrics and key.metric not in metrics:
            continue
        why = _why_not(key, ours, theirs, before, after)
        if why is None:
            finding = examine(key, ours[key], theirs[key], reader)
            found.append(QualityComparison(key, finding, before=_mean(finding.before), after=_mean(finding.after)))
        elif key in ours or all(other.metric != key.metric for other in ours):
            # What the other side has with other settings is told in the first side's line.
            means = [_mean(item.score.value for item in side.get(key, ())) for side in (ours, theirs)]
            found.append(QualityComparison(key, None, why=why, before=means[0], after=means[1]))
    return found


def decided(
    comparisons: Sequence[QualityComparison], alpha: float, correction: Correction = "holm"
) -> list[QualityComparison]:
    """The verdicts on all that is compared in one run, their false alarms kept to `alpha` as `correction` says."""
    p_values = [item.finding.p_value if item.finding else None for item in comparisons]
    adjusted = iter(_ADJUST[correction]([value for value in p_values if value is not None]))
    found = []
    for item, p_value in zip(comparisons, p_values, strict=True):
        if p_value is not None:
            held = next(adjusted)
            found.append(replace(item, adjusted_p_value=held, verdict=_verdict(item, held <= alpha)))
        elif item.finding is not None and item.finding.interval is not None:
            low, high = item.finding.interval
            found.append(replace(item, verdict=_verdict(item, low > 0 or high < 0)))
        elif item.finding is not None:
            found.append(replace(item, why="neither outputs nor intervals on record"))
        else:
            found.append(item)
    return found


def _verdict(item: QualityComparison, differs: bool) -> QualityVerdict:
    if not differs or not item.difference:
        return "no difference shown"
    return "better" if (item.difference > 0) == (item.key.direction == "higher") else "worse"


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return sum(found) / len(found) if found else None


def _scores(model: Model) -> _Scores:
    """Each metric's score of each record that counts."""
    found: _Scores = {}
    for record in model.records:
        for item in record.quality:
            key = MetricKey(item.metric, item.split, item.unit, item.direction, item.signature, item.examples)
            seeds = found.setdefault(key, [])
            if all(other.record.id != record.id for other in seeds):
                seeds.append(Scored(record, model.folder, item))
    return found


def _why_not(key: MetricKey, ours: _Scores, theirs: _Scores, before: Model, after: Model) -> str | None:
    """Why the scores of a metric cannot be compared; None where they can."""
    if before.standing.task != after.standing.task:
        return f"other tasks: {before.standing.task} and {after.standing.task}"
    revisions = [model.standing.data_revision for model in (before, after)]
    if revisions[0] != revisions[1]:
        return f"other data: revisions {revisions[0][:19]} and {revisions[1][:19]}"
    if key in ours and key in theirs:
        return None
    own, other_side = (ours, theirs) if key in ours else (theirs, ours)
    other = next((found for found in other_side if found.metric == key.metric), None)
    if other is None:
        return f"{'B' if own is ours else 'A'} was not scored by it"
    for field in ("split", "examples", "unit", "direction", "signature"):
        values = getattr(key, field), getattr(other, field)
        if values[0] != values[1]:
            first, second = values if own is ours else reversed(values)
            return f"other {field}: {first} and {second}"
    raise AssertionError("two keys that agree in everything are one")
