"""What a model's page shows, from its standing and all of its records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from zoo.bench.record import CurvePoint, Performance, Quality, Record, Sample
from zoo.bench.standings import DeviceKey, Standing, Summary, device_key, metric_order, order
from zoo.registry import Registry
from zoo.site.board import model_slug
from zoo.site.bounds import bounded
from zoo.site.charts import CurveChart, curve_chart
from zoo.site.languages import languages
from zoo.site.naming import one_line

_DEEPEST = 60
"""Levels of a spec that are searched for components; resolved specs have fewer than ten."""


@dataclass(frozen=True)
class ComponentUse:
    """A component that the spec names: where, which, and what it is if its plugin is installed here."""

    place: str
    id: str
    summary: str | None


@dataclass(frozen=True)
class ScoreRow:
    """One metric: its summary over seeds and each seed's score."""

    summary: Summary
    scores: tuple[tuple[Record, Quality], ...]


@dataclass(frozen=True)
class MeasuredOn:
    device: DeviceKey
    rows: tuple[tuple[Record, Performance], ...]


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
    probes: tuple[tuple[str, tuple[float | None, ...]], ...]
    chart: CurveChart | None
    curve: tuple[tuple[Record, CurvePoint], ...]
    samples: tuple[Sample, ...]
    languages: tuple[str, str] | None
    records: tuple[RecordView, ...]


def model_page(found: Sequence[Standing], records: Sequence[Record], registry: Registry) -> ModelPage:
    """The page of one model: the values of its newest data revision, and all of its records."""
    standing = max(found, key=lambda item: order(item.newest))
    shown = standing.shown
    spec = shown[0].spec
    description = spec.get("description")
    counted = {record.id for item in found for record in item.counted}
    names = sorted({name for record in shown for name in record.probes})
    with_curve = [record for record in shown if record.curve]
    return ModelPage(
        standing=standing,
        slug=model_slug(standing),
        description=description if isinstance(description, str) else "",
        spec=as_yaml(spec) if spec else "",
        components=tuple(_components(spec, registry)),
        quality=_quality(standing),
        performance=_performance(shown),
        probes=tuple((name, tuple(record.probes.get(name) for record in shown)) for name in names),
        chart=curve_chart(f"Learning curve of {one_line(standing.name)}", with_curve),
        curve=tuple((record, point) for record in with_curve for point in record.curve),
        samples=tuple(next((record.samples for record in shown if record.samples), ())),
        languages=languages(standing.task),
        records=tuple(
            RecordView(record, record.id in counted, commit(record.environment), as_yaml(record.environment))
            for record in sorted(records, key=order, reverse=True)
        ),
    )


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


def commit(environment: Mapping[str, Any]) -> str | None:
    """The git commit a record was made from, marked where the tree had changes; None where it is not known."""
    git = environment.get("git")
    found = git.get("commit") if isinstance(git, Mapping) else None
    if not isinstance(git, Mapping) or not isinstance(found, str) or not found:
        return None
    return f"{one_line(found)[:12]}{' with local changes' if git.get('dirty') else ''}"


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


def _performance(shown: Sequence[Record]) -> tuple[MeasuredOn, ...]:
    found: dict[DeviceKey, list[tuple[Record, Performance]]] = {}
    for record in shown:
        for item in record.performance:
            found.setdefault(device_key(item, record.environment), []).append((record, item))
    return tuple(MeasuredOn(key, tuple(found[key])) for key in sorted(found))


def _components(spec: Mapping[str, Any], registry: Registry) -> Iterator[ComponentUse]:
    """Every ``use:`` in the spec, in its order."""
    by_id: dict[str, list[tuple[str, str]]] = {}
    for component in registry.components():
        by_id.setdefault(component.id, []).append((component.kind, component.summary))

    def summary(identity: str, key: str) -> str | None:
        # One distribution may use one name in several kinds ("none"); the slot's key then tells which.
        candidates = by_id.get(identity, [])
        fitting = [text for kind, text in candidates if kind == key or len(candidates) == 1]
        return fitting[0] if fitting else None

    def walk(value: Any, path: tuple[str, ...]) -> Iterator[ComponentUse]:
        if len(path) > _DEEPEST:
            return
        if isinstance(value, Mapping):
            if path and isinstance(value.get("use"), str):
                key = next((part for part in reversed(path) if not part.isdigit()), "")
                yield ComponentUse(".".join(path), value["use"], summary(value["use"], key))
            for name, item in value.items():
                yield from walk(item, (*path, str(name)))
        elif isinstance(value, (list, tuple)):
            for index, item in enumerate(value):
                yield from walk(item, (*path, str(index)))

    yield from walk(spec, ())
