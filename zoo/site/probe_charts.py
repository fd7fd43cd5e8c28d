"""Charts and tables of lines: what probes found along an axis and over training, and what figures publish."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from zoo.bench.record import Record
from zoo.site import figures
from zoo.site.naming import one_line
from zoo.site.scales import Scale, Tick, nice_ticks

_DRAWABLE = 1e12
_LABEL_WIDTH = 30
_PLACE_WIDTH = 14
_UNIT_WIDTH = 34
_SPREAD = 0.6
_MOST_LINES = 16
_MOST_DOTS = 40
KINDS = 8
"""Colours and dashes that tell lines apart: further lines begin again."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 540, 16, 224
_KEY_ROW = 20

Place = float | str
Values = Mapping[str, Mapping[Place, Sequence[float | None]]]
"""Line -> place -> a value for each seed."""


@dataclass(frozen=True)
class Mark:
    """A point, and what it says."""

    x: str
    y: str
    label: str


@dataclass(frozen=True)
class ProbeLine:
    """One line of a chart: the mean over seeds. `points` is empty where places are names: nothing lies between."""

    kind: int
    label: str
    full_label: str
    points: str
    marks: tuple[Mark, ...]
    seeds: tuple[tuple[str, str], ...]
    """Where each seed's values stand, if there are several."""
    key_y: int


@dataclass(frozen=True)
class ProbeChart:
    """Lines over numbers, or dots over names."""

    title: str
    description: str
    x_label: str
    y_label: str
    height: int
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[ProbeLine, ...]
    left_out: int
    """Lines that the table alone shows."""
    width: int = 760
    left: int = _LEFT
    right: int = _RIGHT
    top: int = _TOP
    bottom: int = _BOTTOM


@dataclass(frozen=True)
class ProbeTable:
    """Every value: a row for each place, a column for each line and seed."""

    place: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class ProbeFigure:
    """A chart, where there is something to draw, and its table."""

    name: str
    chart: ProbeChart | None
    table: ProbeTable


@dataclass(frozen=True)
class TrainingFigures:
    """The scalars of one probe over training."""

    probe: str
    figures: tuple[ProbeFigure, ...]


def series_figures(shown: Sequence[Record]) -> tuple[ProbeFigure, ...]:
    """Every series of the shown records, in the order of their names."""
    names = sorted({name for record in shown for name in record.probe_series})
    return tuple(_series_figure(name, [record for record in shown if name in record.probe_series]) for name in names)


def training_figures(shown: Sequence[Record]) -> tuple[TrainingFigures, ...]:
    """Every scalar that was measured over training, a line a seed, by probe."""
    names = sorted({name for record in shown for point in record.curve for name in point.probes})
    probes: dict[str, list[ProbeFigure]] = {}
    for name in names:
        probes.setdefault(name.partition(".")[0], []).append(_training_figure(name, shown))
    return tuple(TrainingFigures(probe, tuple(found)) for probe, found in probes.items())


def lines_figure(
    name: str, axis: str, unit: str, lines: Sequence[tuple[str, Sequence[tuple[float, float]]]]
) -> ProbeFigure:
    """Lines of single values over numbers: of each its name and its points. Equal names are told apart by a number."""
    found: dict[str, dict[Place, list[float | None]]] = {}
    for line, points in lines:
        label, number = line, 2
        while label in found:
            label, number = f"{line} ({number})", number + 1
        found[label] = {x: [y] for x, y in points}
    places = _ordered({x: None for values in found.values() for x in values})
    return ProbeFigure(name, _chart(name, axis, unit, places, found), _table(axis, places, found, [""]))


def _series_figure(name: str, records: Sequence[Record]) -> ProbeFigure:
    found: dict[str, dict[Place, list[float | None]]] = {}
    places: dict[Place, None] = {}
    for seed, record in enumerate(records):
        series = record.probe_series[name]
        x: Sequence[Place] = series.x
        places |= dict.fromkeys(x)
        for line, values in series.lines.items():
            by_place = found.setdefault(line, {})
            for place, value in zip(x, values, strict=False):
                by_place.setdefault(place, [None] * len(records))[seed] = value
    ordered = _ordered(places)
    first = records[0].probe_series[name]
    seeds = [f"seed {record.seed}" for record in records] if len(records) > 1 else [""]
    return ProbeFigure(
        name, _chart(name, first.axis, first.unit, ordered, found), _table(first.axis, ordered, found, seeds)
    )


def _training_figure(name: str, records: Sequence[Record]) -> ProbeFigure:
    found: dict[str, dict[Place, list[float | None]]] = {}
    for record in records:
        values: dict[Place, list[float | None]] = {
            point.step: [point.probes[name]] for point in record.curve if name in point.probes
        }
        if values:
            found[f"seed {record.seed}"] = values
    steps = _ordered({step: None for values in found.values() for step in values})
    return ProbeFigure(name, _chart(name, "Optimizer steps", "value", steps, found), _table("Step", steps, found, [""]))


def _ordered(places: Mapping[Place, None]) -> list[Place]:
    """Numbers in order, then names as they came."""
    numbers: list[Place] = [*sorted(place for place in places if not isinstance(place, str))]
    return numbers + [place for place in places if isinstance(place, str)]


def _table(axis: str, places: Sequence[Place], found: Values, seeds: Sequence[str]) -> ProbeTable:
    columns = [(line, number) for line in found for number in range(len(seeds))]
    none: Sequence[float | None] = [None] * len(seeds)
    return ProbeTable(
        place=axis,
        columns=tuple(", ".join(part for part in (line, seeds[number]) if part) for line, number in columns),
        rows=tuple(
            (_place(place), tuple(_value(found[line].get(place, none)[number]) for line, number in columns))
            for place in places
        ),
    )


def _place(place: Place) -> str:
    return place if isinstance(place, str) else f"{place:g}"


def _value(value: float | None) -> str:
    return figures.NONE if value is None else figures.significant(value, 4)


def _chart(name: str, axis: str, unit: str, places: Sequence[Place], found: Values) -> ProbeChart | None:
    """None where values stand in fewer than two places that can be drawn."""
    named = any(isinstance(place, str) for place in places)
    at = {place: float(number) if named else float(place) for number, place in enumerate(places)}
    drawn = {line: _drawable(values, at, places) for line, values in list(found.items())[:_MOST_LINES]}
    values = [value for points in drawn.values() for _, seeds in points for value in seeds]
    if len({place for points in drawn.values() for place, _ in points}) < 2:
        return None
    y_values = nice_ticks(0.0 if 0 <= min(values) < 0.5 * max(values) else min(values), max(values))
    y_scale = Scale(y_values[0], y_values[-1], _BOTTOM, _TOP)
    if named:
        x_scale = Scale(-0.5, len(places) - 0.5, _LEFT, _RIGHT)
        x_ticks = tuple(Tick(x_scale.pixel(at[place]), _cut(_place(place), _PLACE_WIDTH)) for place in places)
    else:
        ends = [at[place] for points in drawn.values() for place, _ in points]
        x_values = nice_ticks(min(ends), max(ends), 7)
        if all(end.is_integer() for end in ends):
            # There is no layer and no step between two.
            x_values = [value for value in x_values if value.is_integer()]
        x_scale = Scale(x_values[0], x_values[-1], _LEFT, _RIGHT)
        x_ticks = x_scale.ticks(x_values)
    lines = []
    for number, (line, points) in enumerate(drawn.items()):
        # Side by side over a name, where nothing else would keep lines of like value apart.
        aside = _SPREAD * ((number + 0.5) / len(drawn) - 0.5) if named else 0.0
        marks = tuple(
            Mark(x_scale.pixel(at[place] + aside), y_scale.pixel(_mean(seeds)), _said(line, place, seeds))
            for place, seeds in points
        )
        lines.append(
            ProbeLine(
                kind=number % KINDS,
                label=_cut(line, _LABEL_WIDTH),
                full_label=one_line(line),
                points="" if named else " ".join(f"{mark.x},{mark.y}" for mark in marks),
                marks=marks if named or len(marks) <= _MOST_DOTS else (),
                seeds=tuple(
                    (x_scale.pixel(at[place] + aside), y_scale.pixel(value))
                    for place, seeds in points
                    if len(seeds) > 1
                    for value in seeds
                ),
                key_y=_TOP + 8 + _KEY_ROW * number,
            )
        )
    return ProbeChart(
        title=one_line(name),
        description=_described(axis, unit, drawn),
        x_label=one_line(axis),
        y_label=_cut(unit, _UNIT_WIDTH),
        height=max(_BOTTOM + 56, _TOP + 20 + _KEY_ROW * len(lines)),
        x_ticks=x_ticks,
        y_ticks=y_scale.ticks(y_values),
        lines=tuple(lines),
        left_out=max(0, len(found) - _MOST_LINES),
    )


Points = Sequence[tuple[Place, Sequence[float]]]


def _drawable(
    values: Mapping[Place, Sequence[float | None]], at: Mapping[Place, float], places: Sequence[Place]
) -> Points:
    """Each place that has values which can be drawn, with them."""
    found = []
    for place in places:
        seeds = [value for value in values.get(place, ()) if value is not None and abs(value) <= _DRAWABLE]
        if seeds and abs(at[place]) <= _DRAWABLE:
            found.append((place, seeds))
    return found


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _said(line: str, place: Place, seeds: Sequence[float]) -> str:
    mean = f"mean of {len(seeds)} seeds " if len(seeds) > 1 else ""
    return f"{one_line(line)}, {one_line(_place(place))}: {mean}{figures.significant(_mean(seeds))}"


def _described(axis: str, unit: str, drawn: Mapping[str, Points]) -> str:
    ends = "; ".join(
        f"{one_line(line)} from {figures.significant(_mean(points[0][1]))} at {one_line(_place(points[0][0]))} "
        f"to {figures.significant(_mean(points[-1][1]))} at {one_line(_place(points[-1][0]))}"
        for line, points in drawn.items()
        if points
    )
    return f"{one_line(unit)} against {one_line(axis)}: {ends}."


def _cut(label: str, longest: int) -> str:
    text = one_line(label)
    return text if len(text) <= longest else text[: longest - 1] + "…"
