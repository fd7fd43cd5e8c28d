"""Probes of a model among those of the other models on its board."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from zoo.bench.record import Record
from zoo.bench.standings import Standing
from zoo.site import figures

_DRAWABLE = 1e12
WIDTH, HEIGHT = 220, 26
_LEFT, _RIGHT = 8.0, 212.0


@dataclass(frozen=True)
class Range:
    """A probe over the models of one board: extremes and quartiles."""

    low: float
    lower: float
    upper: float
    high: float
    models: int


@dataclass(frozen=True)
class Strip:
    """The board's range, its middle half, and this model's values, in pixels."""

    low: str
    high: str
    lower: str
    width: str
    dots: tuple[str, ...]
    label: str


@dataclass(frozen=True)
class ProbeRow:
    name: str
    values: tuple[float | None, ...]
    strip: Strip | None


Ranges = Mapping[tuple[str, str], Range]


def probe_ranges(placed: Iterable[Standing]) -> Ranges:
    """By task and probe: the values of every trained model that has one, the mean over its seeds."""
    found: dict[tuple[str, str], list[float]] = {}
    for standing in placed:
        if standing.role != "model" or standing.status != "ok":
            continue
        for name in {name for record in standing.shown for name in record.probes}:
            values = [record.probes[name] for record in standing.shown if name in record.probes]
            if all(abs(value) <= _DRAWABLE for value in values):
                found.setdefault((standing.task, name), []).append(sum(values) / len(values))
    ranges = {}
    for key, values in found.items():
        low, lower, upper, high = np.quantile(values, [0, 0.25, 0.75, 1]).tolist()
        ranges[key] = Range(low, lower, upper, high, len(values))
    return ranges


def probe_rows(task: str, shown: Sequence[Record], ranges: Ranges) -> tuple[ProbeRow, ...]:
    """Every probe of the shown records; a strip where another model has it too."""
    names = sorted({name for record in shown for name in record.probes})
    rows = []
    for name in names:
        values = tuple(record.probes.get(name) for record in shown)
        rows.append(ProbeRow(name, values, _strip([v for v in values if v is not None], ranges.get((task, name)))))
    return tuple(rows)


def _strip(values: Sequence[float], among: Range | None) -> Strip | None:
    if among is None or among.models < 2 or any(abs(value) > _DRAWABLE for value in values):
        return None
    low, high = min(among.low, *values), max(among.high, *values)
    room = high - low

    def at(value: float) -> float:
        return (_LEFT + _RIGHT) / 2 if room == 0 else _LEFT + (value - low) / room * (_RIGHT - _LEFT)

    words = "from {} to {}, the middle half from {} to {}".format(
        *(figures.significant(value) for value in (among.low, among.high, among.lower, among.upper))
    )
    return Strip(
        low=f"{at(among.low):.1f}",
        high=f"{at(among.high):.1f}",
        lower=f"{at(among.lower):.1f}",
        width=f"{max(1.0, at(among.upper) - at(among.lower)):.1f}",
        dots=tuple(f"{at(value):.1f}" for value in values),
        label=f"{among.models:,} models {words}",
    )
