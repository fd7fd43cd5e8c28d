"""One board: its columns, its rows and their ranks, ready for the page and for the downloads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from zoo.bench.standings import DeviceKey, MetricKey, Standing, Summary, metric_order, order
from zoo.site import figures
from zoo.site.charts import IntervalChart, IntervalInput, interval_chart
from zoo.site.naming import one_line, slug, unique_keys
from zoo.statistics import ranks

Value = str | int | float | None
_SECONDS = {"s": 1.0, "seconds": 1.0, "ms": 1e-3, "milliseconds": 1e-3, "us": 1e-6, "microseconds": 1e-6}
_CHARTED = 15
"""Models in a board's chart: more would push the table out of sight."""


@dataclass(frozen=True)
class Column:
    """`fields` head the column in the downloads; `group` is the device that a performance column belongs to."""

    label: str
    fields: tuple[str, ...]
    unit: str = ""
    description: str = ""
    better: str | None = None
    group: str | None = None
    kind: str = "number"
    key: str = ""


@dataclass(frozen=True)
class Cell:
    """`value` sorts, `text` and `detail` are shown, `data` fills the column's download fields."""

    data: tuple[Value, ...]
    value: Value = None
    text: str = figures.NONE
    detail: str = ""


@dataclass(frozen=True)
class Row:
    standing: Standing
    page: str
    rank: int | None
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Group:
    """A device and the number of columns that it heads."""

    key: str
    label: str
    columns: int


@dataclass(frozen=True)
class BoardTable:
    """The models of one data revision: scores from other data never stand beside them."""

    data_revision: str
    columns: tuple[Column, ...]
    groups: tuple[Group, ...]
    rows: tuple[Row, ...]
    ranking: MetricKey | None
    chart: IntervalChart | None
    download: str

    @property
    def leaders(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.rank == 1)


@dataclass(frozen=True)
class Board:
    task: str
    slug: str
    tables: tuple[BoardTable, ...]
    """Newest data revision first."""
    failures: tuple[Standing, ...] = field(default=())


def model_slug(standing: Standing) -> str:
    return slug(standing.task, standing.role, standing.name)


def board(task: str, found: Sequence[Standing]) -> Board:
    """The board of `task` from all of its standings."""
    revisions: dict[str, list[Standing]] = {}
    for standing in sorted(found, key=lambda item: order(item.newest), reverse=True):
        revisions.setdefault(standing.data_revision, []).append(standing)
    tables = []
    for index, (revision, members) in enumerate(revisions.items()):
        name = slug("board", task) if index == 0 else slug("board", revision, task)
        tables.append(_table(revision, members, name))
    failures = tuple(standing for standing in found if standing.failed)
    return Board(task, slug("board", task), tuple(tables), failures)


def _table(revision: str, found: Sequence[Standing], download: str) -> BoardTable:
    metrics = metric_order(found)
    ranking = metrics[0] if metrics else None
    places = _places(found, ranking)
    ordered = sorted(found, key=lambda item: _row_order(item, places, ranking))
    columns: list[tuple[Column, list[Cell]]] = [
        _rank_column(ordered, places, ranking),
        *_identity_columns(ordered),
        *(_metric_column(key, metrics, ordered) for key in metrics),
        *_count_columns(ordered),
    ]
    devices = sorted({key for item in ordered for key in (*item.performance(), *item.training_seconds())})
    device_labels = _distinct([key.label for key in devices])
    groups: list[Group] = []
    for key, label in zip(devices, device_labels, strict=True):
        group = f"device-{len(groups) + 1}"
        measured = _device_columns(key, label, group, ordered)
        groups.append(Group(group, label, len(measured)))
        columns.extend(measured)
    keys = unique_keys(" ".join((column.label, column.group or "")) for column, _ in columns)
    return BoardTable(
        data_revision=revision,
        columns=tuple(Column(**{**vars(column), "key": key}) for (column, _), key in zip(columns, keys, strict=True)),
        groups=tuple(groups),
        rows=tuple(
            Row(item, model_slug(item), places.get(item), tuple(cells[index] for _, cells in columns))
            for index, item in enumerate(ordered)
        ),
        ranking=ranking,
        chart=_chart(ordered, ranking),
        download=download,
    )


def _places(found: Sequence[Standing], ranking: MetricKey | None) -> dict[Standing, int]:
    """Ranks of the models that can be ranked: ok, not a baseline, with an interval on the ranking metric."""
    intervals = {}
    for item in found:
        summary = item.quality().get(ranking) if ranking and item.status == "ok" and item.role == "model" else None
        if summary is not None and summary.interval is not None:
            intervals[item] = summary.interval
    if ranking is None:
        return {}
    return dict(zip(intervals, ranks(list(intervals.values()), ranking.direction), strict=True))


def _row_order(item: Standing, places: dict[Standing, int], ranking: MetricKey | None) -> tuple[object, ...]:
    """Ranked models, unranked ones, failures, baselines; inside each the better score first."""
    block = 3 if item.role == "baseline" else 0 if item in places else 1 if item.status == "ok" else 2
    summary = item.quality().get(ranking) if ranking else None
    score = 0.0 if summary is None or ranking is None else _worse_first(summary.mean, ranking.direction)
    return block, places.get(item, 0), summary is None, score, item.name


def _worse_first(value: float, direction: str) -> float:
    return -value if direction == "higher" else value


def _rank_column(
    found: Sequence[Standing], places: dict[Standing, int], ranking: MetricKey | None
) -> tuple[Column, list[Cell]]:
    column = Column(
        "Rank",
        ("rank",),
        better="lower",
        kind="rank",
        description="1 plus the number of models whose whole interval is better"
        + (f", by {ranking.metric}" if ranking else ""),
    )
    shared = list(places.values())
    cells = []
    for item in found:
        rank = places.get(item)
        tied = rank is not None and shared.count(rank) > 1
        cells.append(Cell((rank,), rank, figures.NONE if rank is None else f"{rank}{'=' if tied else ''}"))
    return column, cells


def _identity_columns(found: Sequence[Standing]) -> list[tuple[Column, list[Cell]]]:
    models = [Cell((item.name, item.role), item.name.casefold(), one_line(item.name)) for item in found]
    states = []
    for item in found:
        reason = "; ".join(one_line(record.error or record.status) for record in item.failed)
        text = item.status
        if item.counted and item.failed:
            text = f"ok, {len(item.failed)} failed"
        states.append(Cell((text, reason or None), text, text, reason))
    return [
        (Column("Model", ("model", "role"), kind="model"), models),
        (Column("Status", ("status", "reason"), kind="status"), states),
    ]


def _metric_column(
    key: MetricKey, metrics: Sequence[MetricKey], found: Sequence[Standing]
) -> tuple[Column, list[Cell]]:
    label = metric_label(key, metrics)
    column = Column(
        label=label,
        fields=(label, f"{label} interval low", f"{label} interval high", f"{label} seeds"),
        unit=one_line(key.unit),
        description=f"{key.split} split, {key.examples:,} examples, {key.direction} is better; {key.signature}",
        better=key.direction,
    )
    cells = []
    for item in found:
        summary = item.quality().get(key)
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
            )
        )
    return column, cells


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


def _count_columns(found: Sequence[Standing]) -> list[tuple[Column, list[Cell]]]:
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


def _device_columns(
    key: DeviceKey, label: str, group: str, found: Sequence[Standing]
) -> list[tuple[Column, list[Cell]]]:
    measured = [item.performance().get(key, []) for item in found]
    everything = [one for each in measured for one in each]
    columns: list[tuple[Column, list[Cell]]] = []

    def add(name: str, unit: str, field: str, better: str, description: str, cells: list[Cell]) -> None:
        if any(cell.value is not None for cell in cells):
            fields = (f"{field} on {label}",)
            columns.append((Column(name, fields, unit, f"{description}; {label}", better, group), cells))

    latencies = [
        [
            time
            for one in each
            if one.latency is not None and (time := in_seconds(one.latency.median, one.latency.unit)) is not None
        ]
        for each in measured
    ]
    cells = [_median_cell(values, figures.milliseconds) for values in latencies]
    add("Latency", "ms", "latency (s)", "lower", "Median end-to-end time of one sentence", cells)
    for batch in sorted({rate.batch for one in everything for rate in one.throughput}):
        rates = [
            [
                rate.tokens_per_second
                for one in each
                for rate in one.throughput
                if rate.tokens_per_second is not None and rate.batch == batch
            ]
            for each in measured
        ]
        of = f"batch {batch}"
        cells = [_median_cell(values, figures.significant) for values in rates]
        add("Tokens/s", of, f"tokens/s ({of})", "higher", f"Generated tokens a second, {of}", cells)
    for kind in sorted({one.memory.kind for one in everything if one.memory is not None}):
        peaks = [
            [figures.as_float(one.memory.peak) for one in each if one.memory is not None and one.memory.kind == kind]
            for each in measured
        ]
        of = one_line(kind) if kind else "kind not stated"
        cells = [_median_cell(values, figures.mebibytes) for values in peaks]
        add(
            "Peak memory",
            f"MiB, {of}",
            f"peak memory (bytes, {of})",
            "lower",
            f"Peak: {memory_description(kind)}",
            cells,
        )
    times = [item.training_seconds().get(key) for item in found]
    cells = [_median_cell(() if summary is None else summary.values, figures.duration) for summary in times]
    add("Training", "", "training (s)", "lower", "Time of training", cells)
    return columns


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


def _median_cell(values: Sequence[float], text: Callable[[float], str]) -> Cell:
    if not values:
        return Cell((None,))
    summary = Summary(tuple(values))
    low, high = text(summary.low), text(summary.high)
    return Cell((summary.median,), summary.median, text(summary.median), "" if low == high else f"{low} to {high}")


def _distinct(labels: Sequence[str]) -> list[str]:
    cleaned = [one_line(label) for label in labels]
    return [
        label if cleaned.count(label) == 1 else f"{label} ({cleaned[: index + 1].count(label)})"
        for index, label in enumerate(cleaned)
    ]


def _chart(found: Sequence[Standing], ranking: MetricKey | None) -> IntervalChart | None:
    if ranking is None:
        return None
    scored = [item for item in found if item.status == "ok" and ranking in item.quality()]
    models = [item for item in scored if item.role == "model"]
    drawn = [*models[:_CHARTED], *(item for item in scored if item.role == "baseline")]
    inputs = []
    for item in drawn:
        summary = item.quality()[ranking]
        inputs.append(IntervalInput(item.name, summary.mean, summary.interval, summary.values, item.role == "baseline"))
    axis = f"{one_line(ranking.metric)} ({one_line(ranking.unit)}), {ranking.direction} is better"
    title = f"{one_line(ranking.metric)} with 95% intervals"
    if len(models) > _CHARTED:
        title += f", the first {_CHARTED} of {len(models)} models"
    return interval_chart(title, axis, ranking.unit, inputs)
