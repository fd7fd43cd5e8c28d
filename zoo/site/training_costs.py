"""What optimizers cost and reach: models of a board that differ in their optimizer alone, each at its best rate."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from zoo.bench.record import Performance
from zoo.bench.standings import DeviceKey, MetricKey, Standing, Summary
from zoo.site import figures
from zoo.site.naming import one_line
from zoo.site.sweeps import coordinates

_NOT_THE_MODEL = ("name", "description", "seed")
_RATE = "lr"
_MOST_ROWS, _MOST_TABLES = 60, 8
"""Bounds on what a stranger's records can make of a page."""


@dataclass(frozen=True)
class CostRow:
    """An optimizer with its options, at the rate whose development loss is lowest."""

    standing: Standing
    label: str
    rate: str
    rates: int
    """Rates that were tried."""
    failed: int
    """Runs of them that failed, and so are in no number here."""
    cells: tuple[str, ...]
    """One for each of the table's columns."""


@dataclass(frozen=True)
class CostTable:
    """One device. The best row stands first."""

    name: str
    device: str
    columns: tuple[str, ...]
    rows: tuple[CostRow, ...]


def training_costs(found: Sequence[Standing], ranking: MetricKey | None) -> tuple[CostTable, ...]:
    """A table for every group of models whose specs differ in nothing but their optimizer, on every device."""
    groups: dict[str, list[Standing]] = defaultdict(list)
    for standing in found:
        if standing.role == "model" and _optimizer(standing) is not None:
            groups[_all_but_the_optimizer(standing)].append(standing)
    tables = [table for models in groups.values() for table in _tables(models, ranking)]
    return tuple(sorted(tables, key=lambda table: (table.name, table.device))[:_MOST_TABLES])


def _optimizer(standing: Standing) -> Mapping[str, Any] | None:
    training = standing.shown[0].spec.get("training")
    found = training.get("optimizer") if isinstance(training, Mapping) else None
    return found if isinstance(found, Mapping) and isinstance(found.get("use"), str) else None


def _all_but_the_optimizer(standing: Standing) -> str:
    spec = standing.shown[0].spec
    kept = {key: value for key, value in spec.items() if key not in _NOT_THE_MODEL}
    kept["training"] = {key: value for key, value in spec["training"].items() if key != "optimizer"}
    return json.dumps(kept, sort_keys=True, default=str)


def _tables(models: Sequence[Standing], ranking: MetricKey | None) -> Iterable[CostTable]:
    kinds: dict[str, list[Standing]] = defaultdict(list)
    for model in models:
        kinds[json.dumps(_options(model), sort_keys=True, default=str)].append(model)
    if not 2 <= len(kinds) <= _MOST_ROWS:
        return
    labels = _labels([_options(each[0]) for each in kinds.values()])
    best = [(label, min(each, key=_order), each) for label, each in zip(labels, kinds.values(), strict=True)]
    best.sort(key=lambda row: (_order(row[1]), row[0]))
    measured = [item for _, model, _ in best for item in model.performance().items()]
    for device in sorted({key for key, parts in measured if any(map(_told, parts))}):
        columns = _columns(device, [model for _, model, _ in best], ranking)
        yield CostTable(
            name=one_line(coordinates(models[0].name)[0]),
            device=one_line(device.label),
            columns=tuple(label for label, _ in columns),
            rows=tuple(
                CostRow(
                    standing=model,
                    label=label,
                    rate=one_line(f"{(_optimizer(model) or {}).get(_RATE, figures.NONE)}"),
                    rates=len(each),
                    failed=sum(len(one.failed) for one in each),
                    cells=tuple(cells[number] for _, cells in columns),
                )
                for number, (label, model, each) in enumerate(best)
            ),
        )


def _options(standing: Standing) -> dict[str, Any]:
    """The optimizer's, without its rate."""
    return {key: value for key, value in (_optimizer(standing) or {}).items() if key != _RATE}


def _labels(kinds: Sequence[Mapping[str, Any]]) -> list[str]:
    """Each optimizer's name, with those of its options in which several of that name differ, where they are set."""
    labels = []
    for kind in kinds:
        same = [other for other in kinds if other["use"] == kind["use"]]
        telling = [key for key in kind if any(other.get(key) != kind[key] for other in same)]
        given = [key for key in telling if kind[key] is not None and kind[key] is not False]
        settings = [key if kind[key] is True else f"{key}={kind[key]}" for key in given]
        labels.append(one_line(" ".join([kind["use"].rpartition("/")[2], *settings])))
    return labels


def _order(model: Standing) -> float:
    """The development loss; of a failed run infinite, whatever it came to before."""
    loss = model.dev_loss() if model.counted else None
    return inf if loss is None else loss.mean


def _told(part: Performance) -> bool:
    return part.optimizer_state_bytes is not None or part.training_steps_per_second is not None


def _columns(
    device: DeviceKey, models: Sequence[Standing], ranking: MetricKey | None
) -> list[tuple[str, tuple[str, ...]]]:
    """Heads and cells; what no model has is left out."""
    measured = [model.performance().get(device, []) for model in models]
    kinds = sorted({one.training_memory.kind for parts in measured for one in parts if one.training_memory})
    columns = [
        ("Dev loss (nats)", tuple(_spread(model.dev_loss()) for model in models)),
        ("Tokens", tuple(_tokens(model) for model in models)),
        (
            "State, bytes a parameter",
            tuple(_state(model, parts) for model, parts in zip(models, measured, strict=True)),
        ),
        ("Steps/s", tuple(_median(parts, lambda one: one.training_steps_per_second) for parts in measured)),
    ]
    for kind in kinds:
        of = one_line(kind)
        columns += [
            (f"Growth in steps, MiB, {of}", tuple(_memory(parts, kind, "growth") for parts in measured)),
            (f"Peak in steps, MiB, {of}", tuple(_memory(parts, kind, "peak") for parts in measured)),
        ]
    if ranking is not None:
        scores = [model.quality().get(ranking) for model in models]
        columns.append(
            (
                one_line(ranking.metric),
                tuple(figures.NONE if each is None else figures.score(each.mean, ranking.unit) for each in scores),
            )
        )
    return [(label, cells) for label, cells in columns if set(cells) != {figures.NONE}]


def _spread(summary: Summary | None) -> str:
    """``1.23 (1.20 to 1.26)``."""
    if summary is None:
        return figures.NONE
    low, high = figures.significant(summary.low), figures.significant(summary.high)
    mean = figures.significant(summary.mean)
    return mean if low == high else f"{mean} ({low} to {high})"


def _tokens(model: Standing) -> str:
    """The most and the least of its seeds: they draw other batches."""
    counts = [record.training_tokens for record in model.shown if record.training_tokens is not None]
    if not counts:
        return figures.NONE
    ends = [figures.count(end) for end in (min(counts), max(counts))]
    return ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


def _state(model: Standing, parts: Sequence[Performance]) -> str:
    parameters = next((record.parameters for record in model.shown if record.parameters), None)
    if parameters is None:
        return figures.NONE
    return _median(
        parts,
        lambda one: None if one.optimizer_state_bytes is None else one.optimizer_state_bytes / parameters,
    )


def _memory(parts: Sequence[Performance], kind: str, what: str) -> str:
    return _median(
        parts,
        lambda one: (
            None
            if one.training_memory is None
            or one.training_memory.kind != kind
            or (value := getattr(one.training_memory, what)) is None
            else figures.as_float(value) / 2**20
        ),
    )


def _median(parts: Sequence[Performance], read: Callable[[Performance], float | None]) -> str:
    values = [value for one in parts if (value := read(one)) is not None]
    return figures.significant(Summary(tuple(values)).median) if values else figures.NONE
