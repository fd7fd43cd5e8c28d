"""The grids of a board: models that one spec's ``grid:`` named, as a table of settings rather than a list of names."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import inf, prod

from zoo.bench.standings import MetricKey, Standing, Summary
from zoo.site import figures
from zoo.site.facets import natural
from zoo.site.naming import one_line

_LEAST = 4
"""Models of which a table says more than their names in a list do."""
_LEAST_FILLED = 0.5
"""Share of the table's cells that hold a model: below it the names are coordinates of no one grid."""
_MOST_ROWS, _MOST_COLUMNS, _MOST_TABLES = 60, 24, 8
"""Bounds on what a stranger's names can make of a page."""

Point = tuple[str, ...]


@dataclass(frozen=True)
class SweepCell:
    """A model's mean over its seeds; `detail` has their range and the failed ones; `best` is the best of its group."""

    standing: Standing
    text: str
    detail: str
    best: bool


@dataclass(frozen=True)
class Sweep:
    """Rows are the values of the setting that has most, best first; the last of the others heads the columns, grouped
    by the ones between.
    """

    name: str
    metric: MetricKey
    row_setting: str
    column_setting: str
    columns: Point
    """Values of the setting that heads the columns: these in each group."""
    groups: tuple[str, ...]
    """``setting=value`` of the settings between, one text for each group of columns; one empty text for none."""
    rows: tuple[tuple[str, tuple[SweepCell | None, ...]], ...]
    seeds: int
    """The most seeds that a model has."""


@dataclass(frozen=True)
class _Grid:
    """Models whose names have the same settings: of each, its values of those settings that differ among them."""

    name: str
    settings: tuple[str, ...]
    models: Mapping[Point, Standing]

    def values(self, axis: int) -> list[str]:
        return sorted({point[axis] for point in self.models}, key=natural)


def sweeps(found: Sequence[Standing], ranking: MetricKey | None) -> tuple[Sweep, ...]:
    """The tables of `found`, in the order of their names; none where nothing ranks the models."""
    if ranking is None:
        return ()
    tables = [table for grid in _grids(found) if (table := _sweep(grid, ranking)) is not None]
    return tuple(tables[:_MOST_TABLES])


def coordinates(name: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """A grid point's name as its spec's own name and ``(setting, value)`` pairs; ``a+x=1e+3+y=2`` has two of them."""
    first, *rest = name.split("+")
    pairs: list[str] = []
    for piece in rest:
        if "=" in piece:
            pairs.append(piece)
        elif pairs:
            pairs[-1] += f"+{piece}"
        else:
            first += f"+{piece}"
    return first, tuple((setting, value) for setting, _, value in (pair.partition("=") for pair in pairs))


def _grids(found: Sequence[Standing]) -> list[_Grid]:
    groups: dict[tuple[str, tuple[str, ...]], dict[Point, Standing]] = defaultdict(dict)
    for standing in found:
        base, pairs = coordinates(standing.name)
        if standing.role == "model" and len(pairs) > 1:
            groups[base, tuple(setting for setting, _ in pairs)][tuple(value for _, value in pairs)] = standing
    return [_differing(base, settings, models) for (base, settings), models in sorted(groups.items())]


def _differing(base: str, settings: tuple[str, ...], models: Mapping[Point, Standing]) -> _Grid:
    axes = [axis for axis in range(len(settings)) if len({point[axis] for point in models}) > 1]
    pick = {tuple(point[axis] for axis in axes): standing for point, standing in models.items()}
    return _Grid(base, tuple(settings[axis] for axis in axes), pick)


def _sweep(grid: _Grid, ranking: MetricKey) -> Sweep | None:
    values = [grid.values(axis) for axis in range(len(grid.settings))]
    sizes = [len(each) for each in values]
    if len(sizes) < 2 or len(grid.models) < max(_LEAST, _LEAST_FILLED * prod(sizes)):
        return None
    row = sizes.index(max(sizes))
    *between, last = (axis for axis in range(len(sizes)) if axis != row)
    if sizes[row] > _MOST_ROWS or prod(sizes) / sizes[row] > _MOST_COLUMNS:
        return None
    groups = list(product(*(values[axis] for axis in between)))

    def models_of(value: str, group: Sequence[str]) -> list[Standing | None]:
        fixed = {row: value, **dict(zip(between, group, strict=True))}
        points = ({**fixed, last: column} for column in values[last])
        return [grid.models.get(tuple(point[axis] for axis in range(len(sizes)))) for point in points]

    summaries = {model: model.quality().get(ranking) for model in grid.models.values() if model.counted}
    scored = {model: summary for model, summary in summaries.items() if summary is not None}

    def order(models: Sequence[Standing | None]) -> float:
        return min((ranking.worse(scored[model].mean) for model in models if model in scored), default=inf)

    rows = [(value, [models_of(value, group) for group in groups]) for value in values[row]]
    rows.sort(key=lambda item: order([model for part in item[1] for model in part]))
    seeds = max(len(model.counted) + len(model.failed) for model in grid.models.values())
    return Sweep(
        name=one_line(grid.name),
        metric=ranking,
        row_setting=one_line(grid.settings[row]),
        column_setting=one_line(grid.settings[last]),
        columns=tuple(one_line(value) for value in values[last]),
        groups=tuple(
            one_line(", ".join(f"{grid.settings[axis]}={value}" for axis, value in zip(between, group, strict=True)))
            if between
            else ""
            for group in groups
        ),
        rows=tuple(
            (one_line(value), tuple(cell for part in parts for cell in _cells(part, scored, ranking, seeds)))
            for value, parts in rows
        ),
        seeds=seeds,
    )


def _cells(
    models: Sequence[Standing | None], scored: Mapping[Standing, Summary], ranking: MetricKey, seeds: int
) -> list[SweepCell | None]:
    means = {model: scored[model].mean for model in models if model is not None and model in scored}
    best = min(means.values(), key=ranking.worse) if len(means) > 1 else None
    return [
        None
        if model is None
        else _cell(model, scored.get(model), ranking, seeds, best=best is not None and means.get(model) == best)
        for model in models
    ]


def _cell(model: Standing, summary: Summary | None, ranking: MetricKey, seeds: int, *, best: bool) -> SweepCell:
    notes = []
    if summary is not None and summary.seeds > 1:
        notes.append(" to ".join(figures.score(end, ranking.unit) for end in (summary.low, summary.high)))
    if summary is not None and summary.seeds < seeds:
        notes.append(f"n={summary.seeds}")
    failed = Counter(record.status for record in model.failed)
    notes += [f"{count} {one_line(status)}" for status, count in sorted(failed.items())]
    text = figures.NONE if summary is None else figures.score(summary.mean, ranking.unit)
    return SweepCell(model, text, ", ".join(notes), best)
