"""`zoo.comparison/1`: B against A in quality, speed and memory, with a verdict that a CI job can act on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from zoo.bench.compare_performance import REGRESSIONS, PerformanceComparison, compare_performance, other_devices
from zoo.bench.compare_quality import Correction, QualityComparison, compare_quality, decided
from zoo.bench.selection import Model, Pairing, Side, pairing
from zoo.bench.significance import OutputsReader
from zoo.errors import InputError, did_you_mean, visible

SCHEMA: Literal["zoo.comparison/1"] = "zoo.comparison/1"
ONE_EACH = (
    "One seed of each: this says which of these two trained models is better on such sentences, and nothing about the "
    "choice of architecture; for that, train several seeds of each."
)
ONE_MODEL = (
    "One seed of the model: this says whether this trained model or the peer is better on such sentences, and nothing "
    "about what another seed would give; for that, train several."
)


@dataclass(frozen=True)
class ModelComparison:
    """Two models, A and B, in everything that both have on record."""

    before: Model
    after: Model
    quality: tuple[QualityComparison, ...]
    performance: tuple[PerformanceComparison, ...]

    @property
    def name(self) -> str:
        names = [model.standing.name for model in (self.before, self.after)]
        return names[0] if names[0] == names[1] else f"{names[0]} and {names[1]}"

    @property
    def failure(self) -> str | None:
        """Why there is nothing to compare: a side without a result."""
        for letter, model in (("A", self.before), ("B", self.after)):
            if not model.records:
                failed = model.standing.failed[0]
                return f"{letter} has no result: {failed.status}: {failed.error or 'no reason on record'}"
        return None

    @property
    def is_broken(self) -> bool:
        """Whether B has no result where A has one, and it is not the machine that failed."""
        return bool(self.before.records) and not self.after.records and self.after.standing.status != "infra"

    @property
    def is_comparable(self) -> bool:
        return bool(self.performance) or any(item.verdict != "not comparable" for item in self.quality)

    def regressions(self) -> Iterator[str]:
        """What B is worse in, such as ``worse in bleu``."""
        if self.is_broken:
            yield f"without a result ({self.after.standing.status})"
        for score in self.quality:
            if score.verdict == "worse":
                yield f"worse in {score.key.metric}"
        for measured in self.performance:
            if measured.verdict in REGRESSIONS:
                yield f"{measured.verdict} in {measured.quantity}"

    def notes(self) -> list[str]:
        """What a reader must know, each once: what the verdicts rest on, and what could not be had."""
        found = []
        if self.failure:
            found.append(f"{self.failure}.")
        findings = [item.finding for item in self.quality if item.finding]
        if any(finding.evidence in ("test examples", "intervals on record") for finding in findings):
            roles = [model.standing.role for model in (self.before, self.after)]
            if "peer" not in roles:
                found.append(ONE_EACH)
            elif roles != ["peer", "peer"]:
                found.append(ONE_MODEL)
        if any(finding.evidence == "training seeds" for finding in findings):
            found.append("Evidence: the training seeds alone, on these very test examples.")
        if any(finding.evidence == "training seeds and test examples" for finding in findings):
            found.append("Evidence: training seeds and test examples, as if both were drawn anew.")
        for letter, model in (("A", self.before), ("B", self.after)):
            seeds = sorted({record.seed for record in model.standing.failed})
            if model.records and seeds:
                listed = ", ".join(map(str, seeds))
                found.append(f"{letter} failed with seed {listed}: the mean is over those that finished.")
        found += [_sentence(note) for finding in findings for note in finding.notes]
        found += self._of_seeds_alone()
        if self.before.records and self.after.records:
            found += [
                f"{key.label}: only one of the two was measured there."
                for key in other_devices(self.before, self.after)
            ]
        return list(dict.fromkeys(found))

    def _of_seeds_alone(self) -> list[str]:
        """What tests on the seeds' scores say, beside the verdicts."""
        said = []
        for item in self.quality:
            if item.finding and item.finding.welch_p_value is not None:
                flips = item.finding.sign_flip_p_value
                also = "" if flips is None else f", sign flips p = {flips:.3f}"
                said.append(f"{item.key.metric} Welch p = {item.finding.welch_p_value:.3f}{also}")
        return [f"On the seeds alone, unadjusted: {'; '.join(said)}."] if said else []


@dataclass(frozen=True)
class Comparison:
    """Everything that one run compares."""

    before: Side
    after: Side
    pairing: Pairing
    models: tuple[ModelComparison, ...]
    alpha: float
    max_slowdown: float
    correction: Correction

    @property
    def regressions(self) -> list[str]:
        """One clause for each model and quantity in which B is significantly worse or beyond the margin."""
        several = len(self.models) > 1
        return [f"{model.name}: {said}" if several else said for model in self.models for said in model.regressions()]

    @property
    def is_comparable(self) -> bool:
        return any(model.is_comparable or model.is_broken for model in self.models)

    @property
    def exit_status(self) -> int:
        """0 no regression, 1 a regression or nothing that could be compared."""
        return 1 if self.regressions or not self.is_comparable else 0

    @property
    def conclusion(self) -> str:
        """One line."""
        if not self.is_comparable:
            reasons = [model.failure or next((i.why for i in model.quality if i.why), None) for model in self.models]
            return f"Nothing to compare: {next((why for why in reasons if why), 'no metric and no device in common')}."
        if self.regressions:
            return f"Regression: B is {'; '.join(self.regressions)}."
        return f"No regression: {_gains(self.models)}."

    def plain(self) -> dict[str, Any]:
        """JSON-ready; what is no finite number is None."""
        plain: dict[str, Any] = _finite(self._facts())
        return plain

    def _facts(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "a": self.before.text,
            "b": self.after.text,
            "alpha": self.alpha,
            "correction": self.correction,
            "max_slowdown": self.max_slowdown,
            "regression": bool(self.regressions),
            "comparable": self.is_comparable,
            "exit_status": self.exit_status,
            "conclusion": self.conclusion,
            "regressions": self.regressions,
            "models": [_plain_model(model) for model in self.models],
            "only_a": [_plain_side(model) for model in self.pairing.only_before],
            "only_b": [_plain_side(model) for model in self.pairing.only_after],
            "unreadable": [str(problem) for side in (self.before, self.after) for problem in side.problems],
        }


def compare(
    before: Side,
    after: Side,
    *,
    alpha: float = 0.05,
    max_slowdown: float = 0.05,
    metrics: Sequence[str] = (),
    correction: Correction = "holm",
) -> Comparison:
    """Compare what two sides name. Raises InputError where they have no model in common or a metric is unknown."""
    paired = pairing(before, after)
    known = {
        score.metric for pair in paired.pairs for model in pair for record in model.records for score in record.quality
    }
    for name in metrics:
        if known and name not in known:
            raise InputError(f"no metric '{name}' on record: {did_you_mean(name, [visible(one) for one in known])}")
    reader = OutputsReader()
    undecided = [compare_quality(one, other, reader, metrics) for one, other in paired.pairs]
    # Over all models and metrics of the run: what is asked together is answered together.
    verdicts = iter(decided([item for found in undecided for item in found], alpha, correction))
    models = tuple(
        ModelComparison(
            one, other, tuple(next(verdicts) for _ in found), tuple(compare_performance(one, other, max_slowdown))
        )
        for (one, other), found in zip(paired.pairs, undecided, strict=True)
    )
    return Comparison(before, after, paired, models, alpha, max_slowdown, correction)


def _gains(models: Sequence[ModelComparison]) -> str:
    """What is better, and what is not shown to differ."""
    several = len(models) > 1
    gains, open_ = [], []
    for model in models:
        of = f"{model.name}: " if several else ""
        gains += [f"{of}better in {item.key.metric}" for item in model.quality if item.verdict == "better"]
        gains += [
            f"{of}{item.verdict} in {item.quantity}"
            for item in model.performance
            if item.verdict in ("faster", "smaller")
        ]
        open_ += [f"{of}{item.quantity}" for item in model.performance if item.verdict == "cannot tell"]
    said = f"B is {'; '.join(gains)}" if gains else "no difference shown"
    if open_:
        shown = ", ".join(open_[:3]) + (", ..." if len(open_) > 3 else "")
        said += f"; cannot tell of {shown}"
    return said


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _sentence(note: str) -> str:
    return f"{note[:1].upper()}{note[1:]}."


def _plain_model(model: ModelComparison) -> dict[str, Any]:
    return {
        "a": _plain_side(model.before),
        "b": _plain_side(model.after),
        "failure": model.failure,
        "quality": [_plain_quality(item) for item in model.quality],
        "performance": [_plain_performance(item) for item in model.performance],
        "notes": model.notes(),
    }


def _plain_side(model: Model) -> dict[str, Any]:
    standing = model.standing
    return {
        "name": standing.name,
        "task": standing.task,
        "role": standing.role,
        "data_revision": standing.data_revision,
        "status": standing.status,
        "records": [record.id for record in standing.counted],
        "seeds": [record.seed for record in standing.counted],
    }


def _plain_quality(item: QualityComparison) -> dict[str, Any]:
    finding = item.finding
    return {
        **item.key._asdict(),
        "a": item.before,
        "b": item.after,
        "difference": item.difference,
        "interval": finding.interval if finding else None,
        "p_value": finding.p_value if finding else None,
        "adjusted_p_value": item.adjusted_p_value,
        "verdict": item.verdict,
        "why": item.why,
        "evidence": finding.evidence if finding else None,
        "method": finding.method if finding else None,
        "a_by_seed": list(finding.before) if finding else None,
        "b_by_seed": list(finding.after) if finding else None,
        "welch_p_value": finding.welch_p_value if finding else None,
        "sign_flip_p_value": finding.sign_flip_p_value if finding else None,
    }


def _plain_performance(item: PerformanceComparison) -> dict[str, Any]:
    return {
        "device": item.device._asdict(),
        "quantity": item.quantity,
        "unit": item.unit,
        "a": item.before,
        "b": item.after,
        "ratio": item.ratio,
        "interval": item.interval,
        "drift": item.drift,
        "verdict": item.verdict,
        "why": item.why,
    }
