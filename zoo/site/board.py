"""One board: its tables, their rows and their ranks, ready for the page and for the downloads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from zoo.bench.standings import MetricKey, Standing, metric_order, order
from zoo.site.charts import IntervalChart, IntervalInput, interval_chart
from zoo.site.columns import (
    Cell,
    Column,
    Made,
    Place,
    count_columns,
    dev_loss_column,
    form_column,
    group_column,
    metric_column,
    model_column,
    status_column,
)
from zoo.site.device_columns import device_columns
from zoo.site.facets import Facet, facets
from zoo.site.naming import one_line, slug, unique_keys
from zoo.site.sweeps import Sweep, sweeps
from zoo.site.training_costs import CostTable, training_costs
from zoo.statistics import interval_tie_groups, letters, ranks

FIRST_ROWS = 100
"""Rows that a browser lays out at once; the rest waits until a reader asks for it."""
_CHARTED = 15
"""Models in a board's chart: more would push what follows out of sight."""
_MOST_METRICS, _MOST_DEVICES = 24, 12
"""Columns are bounded: a broken or hostile record must not make a table that no browser shows."""
_MOST_GROUPED = 300
"""Models among which tie groups are looked for; a larger board has more groups than letters."""


@dataclass(frozen=True)
class Row:
    standing: Standing
    page: str
    rank: int | None
    cells: tuple[Cell, ...]
    facets: tuple[int | None, ...]


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
    facets: tuple[Facet, ...]
    ranking: MetricKey | None
    chart: IntervalChart | None
    sweeps: tuple[Sweep, ...]
    training_costs: tuple[CostTable, ...]
    download: str
    left_out: tuple[str, ...] = ()
    """What has no column here, because there is too much of it: in words."""

    @property
    def leaders(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.rank == 1)

    @property
    def parts(self) -> tuple[tuple[Row, ...], ...]:
        """The rows shown at once, and the rest."""
        return tuple(part for part in (self.rows[:FIRST_ROWS], self.rows[FIRST_ROWS:]) if part)

    @property
    def blocks(self) -> tuple[tuple[str, str], ...]:
        """The groups of columns to choose from, by key and label: first those of no device."""
        return ("", "Model"), *((group.key, group.label) for group in self.groups)

    @property
    def lettered(self) -> bool:
        return self.columns[0].label == "Group"


@dataclass(frozen=True)
class Board:
    task: str
    slug: str
    tables: tuple[BoardTable, ...]
    """Newest data revision first."""
    failures: tuple[Standing, ...] = field(default=())

    @property
    def has_peers(self) -> bool:
        return any(row.standing.role == "peer" for table in self.tables for row in table.rows)


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
    rank = {item: place.rank for item, place in places.items()}
    ordered = sorted(found, key=lambda item: _row_order(item, rank, ranking))
    columns: list[Made] = [
        group_column(ordered, places, ranking),
        model_column(ordered),
        *(metric_column(key, metrics, ordered) for key in metrics[:_MOST_METRICS]),
        status_column(ordered),
        *form_column(ordered),
        *count_columns(ordered),
        *dev_loss_column(ordered),
    ]
    devices = sorted({key for item in ordered for key in (*item.performance(), *item.training_seconds())})
    groups: list[Group] = []
    shown = devices[:_MOST_DEVICES]
    for key, label in zip(shown, _distinct([key.label for key in shown]), strict=True):
        group = f"device-{len(groups) + 1}"
        measured = device_columns(key, label, group, ordered)
        if measured:
            groups.append(Group(group, label, len(measured)))
            columns.extend(measured)
    keys = unique_keys(column.key or " ".join((column.label, column.group or "")) for column, _ in columns)
    choices = facets(ordered)
    return BoardTable(
        data_revision=revision,
        columns=tuple(replace(column, key=key) for (column, _), key in zip(columns, keys, strict=True)),
        groups=tuple(groups),
        rows=tuple(
            Row(
                item,
                model_slug(item),
                rank.get(item),
                tuple(cells[index] for _, cells in columns),
                tuple(facet.places[index] for facet in choices),
            )
            for index, item in enumerate(ordered)
        ),
        facets=choices,
        ranking=ranking,
        chart=_chart(ordered, ranking),
        sweeps=sweeps(ordered, ranking),
        training_costs=training_costs(ordered, ranking),
        download=download,
        left_out=tuple(
            f"{len(all_of) - most:,} more {name}"
            for name, all_of, most in (("metrics", metrics, _MOST_METRICS), ("devices", devices, _MOST_DEVICES))
            if len(all_of) > most
        ),
    )


def _places(found: Sequence[Standing], ranking: MetricKey | None) -> dict[Standing, Place]:
    """Of the models and peers that can be ranked: ok, not a baseline, with an interval on the ranking metric."""
    if ranking is None:
        return {}
    intervals = {}
    for item in found:
        summary = item.quality().get(ranking) if item.status == "ok" and item.role != "baseline" else None
        if summary is not None and summary.interval is not None:
            intervals[item] = summary.interval
    rank = dict(zip(intervals, ranks(list(intervals.values()), ranking.direction), strict=True))
    shared = Counter(rank.values())
    ordered = sorted(intervals, key=lambda item: _row_order(item, rank, ranking))
    groups = interval_tie_groups([intervals[item] for item in ordered]) if len(ordered) <= _MOST_GROUPED else []
    named = letters(groups) if len(groups) <= 26 else {}
    return {item: Place(rank[item], named.get(index, ""), shared[rank[item]] > 1) for index, item in enumerate(ordered)}


def _row_order(item: Standing, rank: Mapping[Standing, int], ranking: MetricKey | None) -> tuple[object, ...]:
    """Ranked models, unranked ones, failures, baselines; inside each the better score first."""
    block = 3 if item.role == "baseline" else 0 if item in rank else 1 if item.status == "ok" else 2
    summary = item.quality().get(ranking) if ranking else None
    score = 0.0 if summary is None or ranking is None else ranking.worse(summary.mean)
    return block, rank.get(item, 0), summary is None, score, item.name


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
    models = [item for item in scored if item.role != "baseline"]
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
