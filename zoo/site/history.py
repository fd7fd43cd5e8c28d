"""A model's records in time: its ranking score and its latency from commit to commit.

Scores stand in one line only where metric, signature, examples and data agree; latencies where the hardware class does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from zoo.bench.record import Record
from zoo.bench.standings import DeviceKey, MetricKey, Standing, device_key, metric_order, order
from zoo.site import figures
from zoo.site.device_columns import in_seconds
from zoo.site.naming import one_line
from zoo.site.scales import Scale, Tick, nice_ticks

MOST_COMMITS = 60
"""Newest commits in the chart; the table has every record."""
_MOST_DEVICES = 3
_DRAWABLE = 1e12
_WIDTH, _LEFT, _RIGHT, _PANEL, _GAP, _TOP = 800, 66, 784, 150, 44, 26


@dataclass(frozen=True)
class Point:
    """`current` tells records of the newest spec from those of earlier ones."""

    x: str
    y: str
    current: bool
    label: str
    whisker: tuple[str, str] | None


@dataclass(frozen=True)
class Panel:
    """One quantity; `line` joins the commits' medians of the newest spec."""

    title: str
    top: int
    bottom: int
    ticks: tuple[Tick, ...]
    points: tuple[Point, ...]
    line: str
    first: str
    last: str


@dataclass(frozen=True)
class HistoryChart:
    description: str
    width: int
    height: int
    left: int
    right: int
    panels: tuple[Panel, ...]
    commits: tuple[Tick, ...]
    """The labels below: ``3223d7c``, with ``*`` where the tree had changes."""


@dataclass(frozen=True)
class HistoryRow:
    record: Record
    commit: str
    current: bool
    values: tuple[str, ...]


@dataclass(frozen=True)
class History:
    """`chart` is None where all records are of one commit."""

    columns: tuple[str, ...]
    rows: tuple[HistoryRow, ...]
    chart: HistoryChart | None
    left_out: int
    """Hardware classes beyond those that are shown."""


Value = tuple[float, tuple[float, float] | None, str]
"""A number, its interval, and its text."""


@dataclass(frozen=True)
class _Series:
    title: str
    column: str
    values: Mapping[str, Value]
    """By the record's id."""


def commit(environment: Mapping[str, Any]) -> str | None:
    """The git commit a record was made from, marked where the tree had changes; None where it is not known."""
    found = _git(environment)
    return None if found is None else f"{found[0][:12]}{' with local changes' if found[1] else ''}"


def _git(environment: Mapping[str, Any]) -> tuple[str, bool] | None:
    git = environment.get("git")
    found = git.get("commit") if isinstance(git, Mapping) else None
    if not isinstance(git, Mapping) or not isinstance(found, str) or not found:
        return None
    return one_line(found), bool(git.get("dirty"))


def history(standing: Standing, records: Sequence[Record]) -> History | None:
    """Of all `records` of the model; None where fewer than two can be compared in anything."""
    ordered = sorted(records, key=order)
    series, left_out = _series(standing, ordered)
    if not any(len(item.values) > 1 for item in series):
        return None
    newest = _settings(standing.shown[0])
    current = {record.id: _settings(record) == newest for record in ordered}
    rows = tuple(
        HistoryRow(
            record,
            commit(record.environment) or "not recorded",
            current[record.id],
            tuple(item.values[record.id][2] if record.id in item.values else figures.NONE for item in series),
        )
        for record in reversed(ordered)
    )
    return History(tuple(item.column for item in series), rows, _chart(series, ordered, current), left_out)


def _settings(record: Record) -> str:
    spec = {key: value for key, value in record.spec.items() if key not in ("seed", "description")}
    return json.dumps(spec, sort_keys=True, default=str)


def _series(standing: Standing, ordered: Sequence[Record]) -> tuple[list[_Series], int]:
    found = []
    metrics = metric_order([standing])
    if metrics:
        key = metrics[0]
        scores = {record.id: score for record in ordered if (score := _score(standing, record, key)) is not None}
        title = f"{one_line(key.metric)} ({one_line(key.unit)}, {key.direction} is better)"
        found.append(_Series(title, one_line(key.metric), scores))
    by_class: dict[tuple[str, DeviceKey], dict[str, Value]] = {}
    for record in ordered:
        for item in record.performance:
            time = None if item.latency is None else in_seconds(item.latency.median, item.latency.unit)
            if time is not None and 0 <= time * 1000 <= _DRAWABLE:
                of = record.hardware or "", device_key(item, record.environment)
                by_class.setdefault(of, {})[record.id] = (time * 1000, None, f"{figures.milliseconds(time)} ms")
    classes = sorted(by_class.items(), key=lambda pair: (-len(pair[1]), pair[0]))
    for (_, device), values in classes[:_MOST_DEVICES]:
        label = one_line(device.label)
        found.append(_Series(f"Latency (ms, lower is better), {label}", f"Latency, {label}", values))
    return found, max(0, len(classes) - _MOST_DEVICES)


def _score(standing: Standing, record: Record, key: MetricKey) -> Value | None:
    if record.status != "ok" or record.data_revision != standing.data_revision:
        return None
    for item in record.quality:
        found = MetricKey(item.metric, item.split, item.unit, item.direction, item.signature, item.examples)
        if found == key and max(abs(end) for end in (item.value, *(item.interval or ()))) <= _DRAWABLE:
            return item.value, item.interval, figures.score(item.value, key.unit)
    return None


def _chart(series: Sequence[_Series], ordered: Sequence[Record], current: Mapping[str, bool]) -> HistoryChart | None:
    """Commits from left to right in the order of their first records, evenly spaced."""
    shown = [record for record in ordered if any(record.id in item.values for item in series)]
    columns = list(dict.fromkeys(_git(record.environment) for record in shown))[-MOST_COMMITS:]
    if len(columns) < 2:
        return None
    step = (_RIGHT - _LEFT) / len(columns)
    x = {found: _LEFT + (place + 0.5) * step for place, found in enumerate(columns)}
    drawn = [record for record in shown if _git(record.environment) in x]
    panels: list[Panel] = []
    for item in series:
        having = [record for record in drawn if record.id in item.values]
        if having:
            top = _TOP + len(panels) * (_PANEL + _GAP)
            panels.append(_panel(item, having, current, lambda record: x[_git(record.environment)], top))
    every = -(-len(columns) // 12)
    labels = tuple(
        Tick(f"{x[found]:.1f}", "none" if found is None else f"{found[0][:7]}{'*' if found[1] else ''}")
        for place, found in enumerate(columns)
        if place % every == 0
    )
    said = "; ".join(f"{panel.title}: from {panel.first} to {panel.last}" for panel in panels)
    return HistoryChart(
        description=f"{len(drawn):,} records of {len(columns)} commits, oldest first. {said}.",
        width=_WIDTH,
        height=_TOP + len(panels) * (_PANEL + _GAP) + 8,
        left=_LEFT,
        right=_RIGHT,
        panels=tuple(panels),
        commits=labels,
    )


def _panel(
    item: _Series, having: Sequence[Record], current: Mapping[str, bool], at: Callable[[Record], float], top: int
) -> Panel:
    ends = [end for record in having for end in (item.values[record.id][0], *(item.values[record.id][1] or ()))]
    ticks = nice_ticks(min(ends), max(ends), 5)
    scale = Scale(ticks[0], ticks[-1], top + _PANEL, top)
    points = []
    columns: dict[float, list[float]] = {}
    for record in having:
        value, interval, text = item.values[record.id]
        if current[record.id]:
            columns.setdefault(at(record), []).append(value)
        git = _git(record.environment)
        where = "no commit recorded" if git is None else f"{git[0][:12]}{', local changes' if git[1] else ''}"
        points.append(
            Point(
                x=f"{at(record):.1f}",
                y=scale.pixel(value),
                current=current[record.id],
                label=f"{where}, seed {record.seed}{'' if current[record.id] else ', earlier spec'}: {text}",
                whisker=(scale.pixel(interval[0]), scale.pixel(interval[1])) if interval else None,
            )
        )
    line = " ".join(f"{x:.1f},{scale.pixel(median(values))}" for x, values in sorted(columns.items()))
    first, last = (item.values[record.id][2] for record in (having[0], having[-1]))
    return Panel(item.title, top, top + _PANEL, scale.ticks(ticks), tuple(points), line, first, last)
