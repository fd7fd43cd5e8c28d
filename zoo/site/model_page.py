"""What a model's page shows, from its standing and all of its records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from zoo.bench.record import CurvePoint, Quality, Record, Sample
from zoo.bench.standings import Standing, Summary, metric_order, order
from zoo.site.board import model_slug
from zoo.site.bounds import bounded
from zoo.site.charts import CurveChart, curve_chart
from zoo.site.components import ComponentBook, ComponentUse
from zoo.site.history import History, commit, history
from zoo.site.languages import languages
from zoo.site.measurements import MeasuredOn, measurements
from zoo.site.naming import one_line
from zoo.site.probe_charts import ProbeFigure, TrainingFigures, series_figures, training_figures
from zoo.site.probes import ProbeRow, Ranges, probe_rows

_CURVE = {
    "loss": "Training loss",
    "dev_loss": "Dev loss",
    "averaged_dev_loss": "Dev loss of the average",
    "learning_rate": "Learning rate",
    "gradient_norm": "Gradient norm",
    "clipped_norm": "Norm after clipping",
    "clipped_fraction": "Clipped",
    "update_clipped_fraction": "Updates clipped",
}
_WHERE_ANY = {"averaged_dev_loss", "clipped_norm", "update_clipped_fraction"}
_MOST_PARTS = 40
"""Columns that a stranger's names can make of a page."""


@dataclass(frozen=True)
class ScoreRow:
    """One metric: its summary over seeds and each seed's score."""

    summary: Summary
    scores: tuple[tuple[Record, Quality], ...]


@dataclass(frozen=True)
class RecordView:
    record: Record
    counts: bool
    commit: str | None
    environment: str


@dataclass(frozen=True)
class ModelPage:
    standing: Standing
    slug: str
    description: str
    spec: str
    components: tuple[ComponentUse, ...]
    quality: tuple[ScoreRow, ...]
    performance: tuple[MeasuredOn, ...]
    memory_kinds: tuple[str, ...]
    probes: tuple[ProbeRow, ...]
    probe_series: tuple[ProbeFigure, ...]
    probe_training: tuple[TrainingFigures, ...]
    history: History | None
    chart: CurveChart | None
    curve: tuple[tuple[Record, CurvePoint], ...]
    curve_columns: Mapping[str, str]
    """Fields of its points that the table shows, and what heads each."""
    gradient_columns: tuple[str, ...]
    """What is told of parts of the gradients, by name."""
    samples: tuple[Sample, ...]
    languages: tuple[str, str] | None
    records: tuple[RecordView, ...]


def model_page(found: Sequence[Standing], records: Sequence[Record], book: ComponentBook, ranges: Ranges) -> ModelPage:
    """The page of one model: the values of its newest data revision, and all of its records."""
    standing = max(found, key=lambda item: order(item.newest))
    shown = standing.shown
    spec = shown[0].spec
    description = spec.get("description")
    counted = {record.id for item in found for record in item.counted}
    with_curve = [record for record in shown if record.curve]
    curve = tuple((record, point) for record in with_curve for point in record.curve if _is_of_training(point))
    return ModelPage(
        standing=standing,
        slug=model_slug(standing),
        description=description if isinstance(description, str) else "",
        spec=as_yaml(spec) if spec else "",
        components=book.uses(standing, shown[0]),
        quality=_quality(standing),
        performance=measurements(shown),
        memory_kinds=tuple(sorted({m.kind for one in shown for item in one.performance if (m := item.memory)})),
        probes=probe_rows(standing.task, shown, ranges),
        probe_series=series_figures(shown),
        probe_training=training_figures(shown),
        history=history(standing, records),
        chart=curve_chart(f"Learning curve of {one_line(standing.name)}", with_curve),
        curve=curve,
        curve_columns=_curve_columns([point for _, point in curve]),
        gradient_columns=tuple(dict.fromkeys(name for _, point in curve for name in point.gradients))[:_MOST_PARTS],
        samples=tuple(next((record.samples for record in shown if record.samples), ())),
        languages=languages(standing.task),
        records=tuple(
            RecordView(record, record.id in counted, commit(record.environment), as_yaml(record.environment))
            for record in sorted(records, key=order, reverse=True)
        ),
    )


def _curve_columns(points: Sequence[CurvePoint]) -> dict[str, str]:
    """Those that every curve has, and those of which any point tells something."""
    return {
        field: label
        for field, label in _CURVE.items()
        if field not in _WHERE_ANY or any(getattr(point, field) is not None for point in points)
    }


def _is_of_training(point: CurvePoint) -> bool:
    """Whether a point has more than what probes found, which has tables of its own."""
    told = (point.loss, point.dev_loss, point.learning_rate, point.gradient_norm, point.clipped_fraction)
    return any(value is not None for value in told)


def as_yaml(value: Mapping[str, Any]) -> str:
    """A mapping as readers of specs know it."""
    plain = bounded(dict(value))
    try:
        return _yaml(plain, getattr(yaml, "CSafeDumper", yaml.SafeDumper))
    except UnicodeEncodeError:  # libyaml, five times as fast, takes no lone surrogates
        return _yaml(plain, yaml.SafeDumper)


def _yaml(value: Any, dumper: Any) -> str:
    text: str = yaml.dump(value, Dumper=dumper, sort_keys=False, allow_unicode=True, width=96)
    return text


def _quality(standing: Standing) -> tuple[ScoreRow, ...]:
    summaries = standing.quality()
    rows = []
    for key in metric_order([standing]):
        scores = tuple(
            (record, item)
            for record in standing.shown
            for item in record.quality
            if (item.metric, item.split, item.signature, item.examples)
            == (key.metric, key.split, key.signature, key.examples)
        )
        rows.append(ScoreRow(summaries[key], scores))
    return tuple(rows)
