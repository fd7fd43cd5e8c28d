"""An export beside its model in torch, on the same examples: their outputs, and what the spec's metrics say of both."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.errors import InputError, ZooError, did_you_mean
from zoo.export.contracts import KEEP, Exporter, Parity, UnfitError, Written
from zoo.export.material import Material
from zoo.export.plain import PlainRun
from zoo.export.report import MetricDrop, ParityReport, SameOutputs, finite
from zoo.export.torch_outputs import outputs_in_torch
from zoo.measure.reading import as_read, source_of
from zoo.spec.options import Chosen
from zoo.statistics import percentile_interval
from zoo.tasks import Detection, Example, Metric
from zoo.tasks.contracts import Progress, silent
from zoo.training.loading import Run

BEAM = 4
"""Hypotheses that are compared where the spec searches with one."""
ALLOWED: Mapping[str, float] = {"points": 1.0, "fraction": 0.01, "score": 0.01}
"""The drop of the first metric that is allowed where nothing is said, by the metric's unit: one hundredth of its scale.
200 sentences tell a drop of BLEU to about as much (a small model in int8: -0.4, from -1.1 to 0.3)."""
_PIXELS, _SCORE = 1.0, 0.01
"""Corners and confidences of a box that is the same may be so far apart."""


@dataclass(frozen=True)
class MaxDrop:
    """By how much metrics may be worse than torch's, each in its own unit."""

    first: float | None = None
    """Of the first metric, the one that ranks in a spec; None: what `ALLOWED` says."""
    named: Mapping[str, float] = field(default_factory=dict)
    """Of others, by name."""
    unbounded: bool = False
    """Whether any drop is allowed, where none is given: what it is worth is to be measured."""

    @property
    def asked_for(self) -> bool:
        """Whether there is more than a default: then it must be possible to measure it."""
        return self.first is not None or bool(self.named)

    def of(self, metric: Metric, *, first: bool) -> float | None:
        """The drop that is allowed; None: any."""
        if metric.name in self.named:
            return self.named[metric.name]
        if not first:
            return None
        if self.first is not None:
            return self.first
        return None if self.unbounded else ALLOWED.get(metric.unit)


class DroppedError(UnfitError):
    """An export is worse than its model by more than was allowed."""

    def __init__(self, report: ParityReport, out: Path) -> None:
        """`report` says by how much, and what could be done; `out` is where nothing was written."""
        self.report = report
        clauses = [_past(drop) for drop in report.metrics if not drop.passes]
        if report.largest_difference is None:
            clauses = [f"the export's {report.compared} are no finite numbers"]
        where = f"on {report.examples} examples of {report.taken_from}"
        super().__init__(f"{' and '.join(clauses)}, {where}", f": nothing was written to {out}{_advice(report)}")


def _past(drop: MetricDrop) -> str:
    if drop.drop is None:
        return f"{drop.metric} of the export's outputs is no number"
    sure = "" if drop.interval is None else f" (95% interval {drop.interval[0]:.3g} to {drop.interval[1]:.3g})"
    points = " points" if drop.unit == "points" else ""
    return f"{drop.metric} is worse by {drop.drop:.3g}{points}{sure}, more than {drop.max_drop:.3g}"


def _advice(report: ParityReport) -> str:
    if report.remedy is not None:
        return f"; within the bound with {KEEP}: {json.dumps(report.remedy.keep_float32)}"
    return "; no choice of layers to keep in float32 brings it within the bound" if report.sensitivity else ""


class Quality:
    """A model in torch, as any number of its exports are compared with it: what it writes is made once."""

    def __init__(
        self,
        run: Run | PlainRun,
        material: Material,
        max_drop: MaxDrop | None = None,
        metrics: Sequence[Chosen] | None = None,
        progress: Progress = silent,
    ) -> None:
        """`metrics` are measured in the place of the spec's.

        Raises InputError where `max_drop` is of a metric that cannot be measured on these examples, or the references
        are not of the model's kind.
        """
        if run.model.finds_boxes and material.referenced and material.task is None:
            raise InputError("--references: texts, but the model finds boxes: its spec's own data has what is right")
        self.material = material
        self._run = run
        self._progress = progress
        self._max_drop = max_drop or MaxDrop()
        self._examples = as_read(run.model, run.tokenizers, material.examples, run.spec)
        self._sources = [source_of(example) for example in self._examples]
        self._notes: list[str] = []
        self._width = _width(run)
        self._of_torch: dict[int | None, list[Any]] = {}
        self._metrics = self._measurable(run.spec.evaluation.metrics if metrics is None else metrics)
        self._refuse_unknown()

    def report(self, exporter: Exporter, folder: Path, written: Written, found: Parity) -> ParityReport:
        """What there is to say of the export in `folder`, of whose logits `found` says how they compare."""
        outputs = [SameOutputs(decoding=self._plain, same=found.same_outputs)]
        metrics: list[MetricDrop] = []
        notes = list(self._notes)
        if not math.isfinite(found.largest_difference):
            notes.append("without finite numbers neither outputs nor their quality are compared")
        else:
            try:
                mine = exporter.outputs(folder, self._sources)
            except InputError as error:
                if self._max_drop.asked_for:
                    raise
                notes.append(f"{error.message}: outputs as used and their quality are not compared")
            else:
                outputs += self._same(exporter, folder, mine)
                metrics = self._drops(mine)
        return ParityReport(
            compared="scores and boxes" if self._run.model.finds_boxes else "logits",
            examples=found.examples,
            taken_from=self.material.taken_from,
            largest_difference=finite(found.largest_difference),
            mean_difference=finite(found.mean_difference),
            divergence=finite(found.divergence),
            outputs=outputs,
            metrics=metrics,
            changed_layers=len(written.changed),
            notes=notes,
        )

    def drops(self, exporter: Exporter, folder: Path) -> list[MetricDrop]:
        """What the metrics make of the export in `folder`, decoded as the spec decodes."""
        return self._drops(exporter.outputs(folder, self._sources))

    @property
    def _plain(self) -> str:
        return "detection" if self._run.model.finds_boxes else "greedy"

    def _same(self, exporter: Exporter, folder: Path, mine: Sequence[Any]) -> list[SameOutputs]:
        """Outputs as users get them: of the spec's search, and of one by beams where that is greedy."""
        if self._width is None:
            return [SameOutputs(decoding="as used", same=_count_same(mine, self._torch(None)))]
        if self._width > 1:
            return [SameOutputs(decoding=f"beam of {self._width}", same=_count_same(mine, self._torch(None)))]
        beams = exporter.outputs(folder, self._sources, width=BEAM)
        return [SameOutputs(decoding=f"beam of {BEAM}", same=_count_same(beams, self._torch(BEAM)))]

    def _drops(self, mine: Sequence[Any]) -> list[MetricDrop]:
        return [
            measured_drop(metric, self._torch(None), mine, self._examples, self._max_drop.of(metric, first=not place))
            for place, metric in enumerate(self._metrics)
        ]

    def _torch(self, width: int | None) -> list[Any]:
        """The model's own outputs: as its spec decodes, or by a search of another width."""
        if width not in self._of_torch:
            self._of_torch[width] = outputs_in_torch(self._run, self._sources, width, self._progress)
        return self._of_torch[width]

    def _measurable(self, metrics: Sequence[Chosen]) -> list[Metric]:
        """Those that outputs alone decide, each with what it needs; the others are noted."""
        if not self.material.referenced:
            self._notes.append("no references: outputs are compared, quality is not measured")
            return []
        if not metrics:
            self._notes.append("the model names no metrics: give some with --metric for quality to be measured")
        found: list[Metric] = []
        for chosen in metrics:
            metric: Metric = chosen.create()
            try:
                self._prepare(metric)
            except ZooError as error:
                self._notes.append(f"{metric.name} is not measured: {error}")
                if chosen is metrics[0] and self._max_drop.first is not None:
                    # The bound is in this one's unit: it must not become another's.
                    raise InputError(
                        f"--max-drop: the first metric, {self._notes[-1]}; or bound another by name"
                    ) from None
            else:
                found.append(metric)
        return found

    def _prepare(self, metric: Metric) -> None:
        if metric.reads != "outputs":
            raise InputError(f"it reads {metric.reads}, which exports do not give")
        metric.prepare()
        if self.material.task is not None:
            metric.learn(self.material.task, self._progress)
        elif metric.learns:
            raise InputError("it learns from the spec's training data, which is not at hand")
        metric.accept(self._examples)

    def _refuse_unknown(self) -> None:
        names = [metric.name for metric in self._metrics]
        for name in self._max_drop.named:
            if name not in names:
                reason = "; ".join(self._notes)
                known = did_you_mean(name, names) if names else "none can be measured"
                raise InputError(f"--max-drop {name}: no such metric can be measured ({reason or known})")
        if self._max_drop.first is not None and not names:
            raise InputError(f"--max-drop: no metric can be measured ({'; '.join(self._notes)})")


def measured_drop(
    metric: Metric,
    expected: Sequence[Any],
    found: Sequence[Any],
    examples: Sequence[Example],
    max_drop: float | None = None,
) -> MetricDrop:
    """How much worse `found` scores than `expected`, both outputs of the same examples, with its interval: both are
    scored on the same resampled examples (Koehn 2004)."""
    before, after = (metric.example_items(outputs, examples) for outputs in (expected, found))
    sign = 1.0 if metric.direction == "higher" else -1.0

    def drop(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return sign * (metric.combined(before, weights) - metric.combined(after, weights))  # [B]

    all_once = np.ones((1, len(examples)))
    low, high = percentile_interval(len(examples), drop)
    return MetricDrop(
        metric=metric.name,
        direction=metric.direction,
        unit=metric.unit,
        signature=metric.signature,
        torch=finite(metric.combined(before, all_once)[0]),
        export=finite(metric.combined(after, all_once)[0]),
        drop=finite(drop(all_once)[0]),
        interval=(low, high) if math.isfinite(low) and math.isfinite(high) else None,
        max_drop=max_drop,
    )


def _width(run: Run | PlainRun) -> int | None:
    """How many hypotheses the spec's search keeps; None where no search fits: there are no others, or outputs are drawn
    at random."""
    if not run.model.writes_text or run.model.section.decoder is None:
        return None
    settings = run.spec.decoding.strategy.create().settings()
    return None if settings.get("do_sample") else int(settings.get("num_beams") or 1)


def _count_same(mine: Sequence[Any], theirs: Sequence[Any]) -> int:
    return sum(map(same_output, mine, theirs))


def same_output(mine: Any, other: Any) -> bool:
    """Whether two outputs of an example are the same: texts to the letter; boxes where each has its like in the other,
    within a pixel and a hundredth of confidence."""
    if isinstance(mine, str) or isinstance(other, str):
        return bool(mine == other)
    left = list(other)
    for box in mine:
        like = next((item for item in left if _alike(box, item)), None)
        if like is None:
            return False
        left.remove(like)
    return not left


def _alike(one: Detection, other: Detection) -> bool:
    apart = max(abs(a - b) for a, b in zip(one.box, other.box, strict=True))
    return one.category == other.category and apart <= _PIXELS and abs(one.score - other.score) <= _SCORE
