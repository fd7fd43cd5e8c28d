"""The columns of a board: what heads them, what each cell shows, sorts by and gives to the downloads.

What was measured on a device is in `zoo.site.device_columns`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from zoo.bench.standings import MetricKey, Standing, Summary
from zoo.site import figures
from zoo.site.naming import one_line

Value = str | int | float | None
_DRAWABLE = 1e12


@dataclass(frozen=True)
class Column:
    """`fields` head the column in the downloads; `group` is the device that a performance column belongs to.

    A range typed by a reader is in the unit shown: `per_unit` of the sorted values make one. An optional column is
    hidden until a reader asks for it.
    """

    label: str
    fields: tuple[str, ...]
    unit: str = ""
    description: str = ""
    better: str | None = None
    group: str | None = None
    kind: str = "number"
    per_unit: float = 1.0
    optional: bool = False
    key: str = ""


@dataclass(frozen=True)
class Bar:
    """A score and its interval on the board's common scale, in percent of the width."""

    at: str
    low: str | None
    high: str | None


@dataclass(frozen=True)
class Cell:
    """`value` sorts, `text` and `detail` are shown, `data` fills the column's download fields."""

    data: tuple[Value, ...]
    value: Value = None
    text: str = figures.NONE
    detail: str = ""
    bar: Bar | None = None


Made = tuple[Column, list[Cell]]


@dataclass(frozen=True)
class Place:
    """A ranked model's rank and the letters of its tie groups; no letters where a board has too many groups."""

    rank: int
    letters: str
    tied: bool


def group_column(found: Sequence[Standing], places: Mapping[Standing, Place], ranking: MetricKey | None) -> Made:
    """Tie groups as letters; bare ranks where there are more groups than letters."""
    lettered = any(place.letters for place in places.values())
    by = f" by {one_line(ranking.metric)}" if ranking else ""
    rank = f"1 plus the number of models whose whole interval is better{by}"
    column = Column(
        "Group" if lettered else "Rank",
        ("rank", "group"),
        better="lower",
        kind="group",
        description=f"Models that share a letter are not told apart{by}: their intervals meet. Sorted by rank, {rank}"
        if lettered
        else f"{rank[0].upper()}{rank[1:]}; = marks a shared rank",
        key="rank",
    )
    cells = []
    for item in found:
        place = places.get(item)
        if place is None:
            cells.append(Cell((None, None)))
        else:
            text = _spaced(place.letters) if place.letters else f"{place.rank}{'=' if place.tied else ''}"
            cells.append(Cell((place.rank, place.letters or None), place.rank, text))
    return column, cells


def _spaced(letters: str) -> str:
    """``a b c``; a long run of neighbours by its ends, as ``c to h``."""
    run = ord(letters[-1]) - ord(letters[0]) == len(letters) - 1
    return f"{letters[0]} to {letters[-1]}" if run and len(letters) > 4 else " ".join(letters)


def model_column(found: Sequence[Standing]) -> Made:
    names = [Cell((item.name, item.role), one_line(item.name).casefold(), one_line(item.name)) for item in found]
    return Column("Model", ("model", "role"), kind="model"), names


def status_column(found: Sequence[Standing]) -> Made:
    """The status, and of failures the reason."""
    states = []
    for item in found:
        reason = "; ".join(one_line(record.error or record.status) for record in item.failed[:5])
        text = item.status
        if item.counted and item.failed:
            text = f"ok, {len(item.failed)} failed"
        states.append(Cell((text, reason or None), text, text, reason))
    return Column("Status", ("status", "reason"), kind="status"), states


def metric_column(key: MetricKey, metrics: Sequence[MetricKey], found: Sequence[Standing]) -> Made:
    label = metric_label(key, metrics)
    column = Column(
        label=label,
        fields=(label, f"{label} interval low", f"{label} interval high", f"{label} seeds"),
        unit=one_line(key.unit),
        description=f"{one_line(key.split)} split, {key.examples:,} examples, {key.direction} is better; "
        f"{one_line(key.signature)}",
        better=key.direction,
        kind="score",
    )
    summaries = [item.quality().get(key) for item in found]
    place = _bars(summaries) if key == metrics[0] else None
    cells = []
    for summary in summaries:
        if summary is None:
            cells.append(Cell((None,) * 4))
            continue
        low, high = summary.interval or (None, None)
        cells.append(
            Cell(
                (summary.mean, low, high, summary.seeds),
                summary.mean,
                figures.score(summary.mean, key.unit),
                interval_text(summary, key.unit),
                place(summary) if place else None,
            )
        )
    return column, cells


def _bars(summaries: Sequence[Summary | None]) -> Callable[[Summary], Bar | None] | None:
    """Places summaries on the scale that holds all of them; None where there is nothing to compare."""
    ends = [
        end
        for item in summaries
        if item is not None
        for end in (item.mean, *(item.interval or ()))
        if abs(end) <= _DRAWABLE
    ]
    if len(ends) < 2 or max(ends) - min(ends) < 1e-12:
        return None
    low, width = min(ends), max(ends) - min(ends)

    def percent(value: float) -> str:
        return f"{2 + 96 * (value - low) / width:.1f}"

    def place(item: Summary) -> Bar | None:
        if any(abs(end) > _DRAWABLE for end in (item.mean, *(item.interval or ()))):
            return None
        interval = item.interval
        return Bar(percent(item.mean), *(map(percent, interval) if interval else (None, None)))

    return place


def metric_label(key: MetricKey, metrics: Sequence[MetricKey]) -> str:
    """The metric's name, with what sets it apart where several share the name: its split, else a number."""
    same_name = [other for other in metrics if other.metric == key.metric]
    if len(same_name) == 1:
        return one_line(key.metric)
    if len({other.split for other in same_name}) == len(same_name):
        return f"{one_line(key.metric)} ({one_line(key.split)})"
    return f"{one_line(key.metric)} ({same_name.index(key) + 1})"


def interval_text(summary: Summary, unit: str) -> str:
    """``[22.9, 25.8]`` and, with several seeds, their range and number on a second line."""
    parts = []
    if summary.interval is not None:
        parts.append("[{}, {}]".format(*(figures.score(end, unit) for end in summary.interval)))
    if summary.seeds > 1:
        low, high = figures.score(summary.low, unit), figures.score(summary.high, unit)
        parts.append(f"{low} to {high}, n={summary.seeds}")
    return "\n".join(parts)


def count_columns(found: Sequence[Standing]) -> list[Made]:
    parameters = [next((r.parameters for r in item.shown if r.parameters is not None), None) for item in found]
    steps = [next((r.steps for r in item.shown if r.steps is not None), None) for item in found]
    return [
        (
            Column("Parameters", ("parameters",), better="lower", description="Trainable, each tied matrix once"),
            [Cell((n,), n, figures.NONE if n is None else figures.count(n)) for n in parameters],
        ),
        (
            Column("Steps", ("steps",), description="Optimizer steps", better="lower"),
            [Cell((n,), n, figures.NONE if n is None else figures.fixed(n, 0)) for n in steps],
        ),
    ]


def form_column(found: Sequence[Standing]) -> list[Made]:
    """What was evaluated and measured; no column where all are models in torch, or peers."""
    if not any(item.exported for item in found):
        return []
    forms = []
    for item in found:
        exports = sorted({f"{one.exporter}, {one.weights}" for record in item.shown if (one := record.export)})
        form = "; ".join(map(one_line, exports)) or ("torch" if item.role == "model" else None)
        forms.append(Cell((form,)) if form is None else Cell((form,), form, form))
    about = "What was evaluated and measured: the model in torch, or an export of it, and what its weights are held in"
    return [(Column("Runs as", ("runs as",), "", about, kind="text"), forms)]


def dev_loss_column(found: Sequence[Standing]) -> list[Made]:
    """The development loss that training ended with; no column where no model has one."""
    losses = [item.dev_loss() for item in found]
    if not any(losses):
        return []
    column = Column(
        "Dev loss",
        ("dev loss",),
        "nats",
        "Cross-entropy per target token (of a detector: its loss per image) on the development split at the last "
        "evaluation of training, of the averaged weights where the spec averages; the median over seeds and their "
        "range",
        "lower",
        optional=True,
    )
    return [(column, [median_cell(() if each is None else each.values, figures.significant) for each in losses])]


def median_cell(values: Sequence[float], text: Callable[[float], str], spread: Sequence[float] = ()) -> Cell:
    """The median of `values` and, as detail, the range of `spread` (default: of the values)."""
    if not values:
        return Cell((None,))
    median, ends = Summary(tuple(values)).median, spread or values
    low, high = text(min(ends)), text(max(ends))
    return Cell((median,), median, text(median), "" if low == high else f"{low} to {high}")
