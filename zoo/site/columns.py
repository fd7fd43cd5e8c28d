"""The columns of a board: what heads them, what each cell shows, sorts by and gives to the downloads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from zoo.bench.record import STEADY, Performance
from zoo.bench.standings import DeviceKey, MetricKey, Standing, Summary
from zoo.site import figures
from zoo.site.naming import one_line

Value = str | int | float | None
_SECONDS = {"s": 1.0, "seconds": 1.0, "ms": 1e-3, "milliseconds": 1e-3, "us": 1e-6, "microseconds": 1e-6}
_MOST_BATCHES = 8
"""Batch sizes, and kinds of memory, that get columns of their own on one device."""
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


def device_columns(key: DeviceKey, label: str, group: str, found: Sequence[Standing]) -> list[Made]:
    """What was measured on one device; columns that no model fills are left out."""
    measured = [item.performance().get(key, []) for item in found]
    device = _Device(label, group, measured, [])
    device.time(
        "Latency",
        "latency",
        "latency",
        "Median end-to-end time of one sentence, of the medians of processes; unsteady: these differ by more than "
        f"{STEADY:g} times, as when something else is at work",
    )
    device.scalar(
        "Latency p90",
        "ms",
        "latency p90 (s)",
        "End-to-end time that nine of ten sentences stay within",
        _p90,
        figures.milliseconds,
        per_unit=1e-3,
    )
    device.time("Device time", "device_time", "device time", "The same call by the GPU's own events")
    device.time("Encoder", "encode", "encoder time", "Reading the source alone (the encoder), one sentence")
    device.time("Per token", "decode_per_token", "time per token", "Generation without reading the source, per token")
    device.throughput()
    device.memory()
    device.scalar(
        "Energy",
        "J per 1,000 tokens",
        "energy (J per token)",
        "Experimental: the GPU's own counter over one throughput run",
        lambda one: one.energy.joules / one.energy.tokens if one.energy and one.energy.tokens else None,
        lambda value: figures.significant(1000 * value),
        per_unit=1e-3,
    )
    device.scalar(
        "Training speed",
        "tokens/s",
        "training tokens/s",
        "Tokens a second while training",
        lambda one: one.training_tokens_per_second,
        figures.significant,
        better="higher",
    )
    device.scalar(
        "Optimizer state",
        "MiB",
        "optimizer state (bytes)",
        "Tensors that the optimizer keeps: moments, factors, scales",
        lambda one: None if one.optimizer_state_bytes is None else figures.as_float(one.optimizer_state_bytes),
        figures.mebibytes,
        better="lower",
        per_unit=2.0**20,
    )
    times = [item.training_seconds().get(key) for item in found]
    device.add(
        Column("Training", ("training (s)",), "", "Time of training", "lower"),
        [_median_cell(() if summary is None else summary.values, figures.duration) for summary in times],
    )
    return device.made


@dataclass
class _Device:
    """Collects the columns of one device: `measured` holds each model's measurements, one per seed."""

    label: str
    group: str
    measured: list[list[Performance]]
    made: list[Made]

    def add(self, column: Column, cells: list[Cell]) -> None:
        if any(cell.value is not None or cell.text != figures.NONE for cell in cells):
            fields = tuple(f"{field} on {self.label}" for field in column.fields)
            about = f"{column.description}; {self.label}"
            parts = vars(column) | {"fields": fields, "description": about, "group": self.group}
            self.made.append((Column(**parts), cells))

    def scalar(
        self,
        name: str,
        unit: str,
        field: str,
        description: str,
        value: Callable[[Performance], float | None],
        text: Callable[[float], str],
        *,
        better: str = "lower",
        per_unit: float = 1.0,
    ) -> None:
        """An optional column of one number per measurement."""
        cells = [
            _median_cell([number for one in each if (number := value(one)) is not None], text) for each in self.measured
        ]
        self.add(Column(name, (field,), unit, description, better, per_unit=per_unit, optional=True), cells)

    def time(self, name: str, attribute: str, field: str, description: str) -> None:
        """A column of repeated timings. The range is that of the processes' medians, where several were run."""
        cells = []
        for each in self.measured:
            medians: list[float] = []
            processes: list[float] = []
            unsteady = False
            for one in each:
                found = getattr(one, attribute)
                median = None if found is None else in_seconds(found.median, found.unit)
                if median is not None:
                    medians.append(median)
                    unsteady |= found.is_unsteady
                    processes.extend(in_seconds(value, found.unit) or 0.0 for value in found.processes)
            cell = _median_cell(medians, figures.milliseconds, processes or medians)
            count = len(processes)
            detail = f"{cell.detail or 'no spread'}, {count} processes" if count > 1 else cell.detail
            if unsteady:
                detail += ", unsteady"
            ends = (min(processes), max(processes), count) if processes else (None, None, None)
            cells.append(Cell((*cell.data, *ends), cell.value, cell.text, detail))
        fields = (f"{field} (s)", f"{field} low (s)", f"{field} high (s)", f"{field} processes")
        optional = attribute != "latency"
        self.add(Column(name, fields, "ms", description, "lower", per_unit=1e-3, optional=optional), cells)

    def throughput(self) -> None:
        """One column per batch size; a batch that did not fit says so and has no number."""
        for batch in sorted({rate.batch for each in self.measured for one in each for rate in one.throughput})[
            :_MOST_BATCHES
        ]:
            cells = []
            for each in self.measured:
                rates = [rate for one in each for rate in one.throughput if rate.batch == batch]
                cell = _median_cell(
                    [rate.tokens_per_second for rate in rates if rate.tokens_per_second is not None],
                    figures.significant,
                )
                failed = sum(rate.status == "oom" for rate in rates)
                status = "oom" if failed else "ok" if rates else None
                shown = "oom" if failed and cell.value is None else cell.text
                detail = f"oom in {failed} of {len(rates)} runs" if failed and cell.value is not None else cell.detail
                cells.append(Cell((*cell.data, status), cell.value, shown, detail))
            of = f"batch {batch}"
            fields = (f"tokens/s ({of})", f"status ({of})")
            about = f"Generated tokens a second, {of}; oom: the memory does not hold that batch"
            self.add(Column("Tokens/s", fields, of, about, "higher"), cells)

    def memory(self) -> None:
        kinds = sorted({one.memory.kind for each in self.measured for one in each if one.memory is not None})
        for kind in kinds[:_MOST_BATCHES]:
            peaks = [
                [figures.as_float(one.memory.peak) for one in each if one.memory and one.memory.kind == kind]
                for each in self.measured
            ]
            of = one_line(kind) if kind else "kind not stated"
            cells = [_median_cell(values, figures.mebibytes) for values in peaks]
            about = f"Peak: {memory_description(kind)}"
            fields = (f"peak memory (bytes, {of})",)
            self.add(Column("Peak memory", fields, f"MiB, {of}", about, "lower", per_unit=2.0**20), cells)


def _p90(one: Performance) -> float | None:
    found = one.latency
    return None if found is None or found.p90 is None else in_seconds(found.p90, found.unit)


def memory_description(kind: str) -> str:
    """What a kind of peak memory counts."""
    known = {
        "rss": "resident memory of a whole fresh process that generates",
        "cuda-allocated": "tensors on the GPU in a fresh process that generates",
    }
    return known.get(
        kind,
        f"a fresh process that generates, counted as '{one_line(kind)}'" if kind else "what it counts is not stated",
    )


def in_seconds(value: float, unit: str) -> float | None:
    """A time in seconds, whichever unit it is recorded in; None where the unit is none of time."""
    factor = _SECONDS.get(unit)
    return None if factor is None else value * factor


def _median_cell(values: Sequence[float], text: Callable[[float], str], spread: Sequence[float] = ()) -> Cell:
    """The median of `values` and, as detail, the range of `spread` (default: of the values)."""
    if not values:
        return Cell((None,))
    median, ends = Summary(tuple(values)).median, spread or values
    low, high = text(min(ends)), text(max(ends))
    return Cell((median,), median, text(median), "" if low == high else f"{low} to {high}")
