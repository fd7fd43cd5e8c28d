"""Quality against latency, with memory as the size of the mark: one plot for each device of a board."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from zoo.bench.standings import DeviceKey, MetricKey, Standing, Summary
from zoo.site import figures
from zoo.site.board import BoardTable, model_slug
from zoo.site.columns import interval_text
from zoo.site.device_columns import in_seconds
from zoo.site.labels import Box, placed, text_width
from zoo.site.naming import one_line
from zoo.site.scales import LogScale, Scale, Tick, log_ticks, nice_ticks

DRAWN = 400
"""Marks in one plot: more would be a cloud. The front is always whole."""
LISTED = 60
"""Rows of a plot's table; the board's own table has every model."""
_LABELLED = 40
_WHISKERED = 40
_LARGEST_RADIUS, _SMALLEST_RADIUS = 15.0, 3.5
_LOGARITHMIC_FROM = 4.0
"""Ratio of the slowest to the fastest model from which a linear axis would press the fast ones together."""
_DRAWABLE = 1e12
_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM = 800, 66, 784, 14, 374


@dataclass(frozen=True)
class Candidate:
    """One model that can be placed: `quality` on the ranking metric, `latency` in seconds, `memory` in bytes."""

    name: str
    page: str
    quality: float
    latency: float
    interval: tuple[float, float] | None = None
    memory: float | None = None
    detail: str = ""


@dataclass(frozen=True)
class Mark:
    """`size` is the radius of a circle, half the side of a square, or half the arm of a cross."""

    full_label: str
    front: bool
    shape: str
    x: str
    y: str
    size: str
    whisker: tuple[str, str] | None


@dataclass(frozen=True)
class MarkLabel:
    text: str
    x: str
    y: str
    anchor: str
    front: bool


@dataclass(frozen=True)
class ParetoRow:
    """One model in the plot's table; `beaten_by` is the best model that beats it in both."""

    name: str
    page: str
    quality: str
    interval: str
    latency: str
    memory: str
    front: bool
    beaten_by: str


@dataclass(frozen=True)
class MemoryMark:
    x: str
    y: str
    text_x: str
    text_y: str
    size: str
    label: str


@dataclass(frozen=True)
class ParetoPlot:
    device: str
    metric: str
    direction: str
    description: str
    memory_kind: str
    x_axis: str
    y_axis: str
    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    front_line: str
    marks: tuple[Mark, ...]
    labels: tuple[MarkLabel, ...]
    memory_marks: tuple[MemoryMark, ...]
    rows: tuple[ParetoRow, ...]
    models: int
    left_out: tuple[str, ...]


def pareto_plots(table: BoardTable) -> tuple[ParetoPlot, ...]:
    """A plot for each device on which two models or more of `table` have a score and a latency."""
    if table.ranking is None:
        return ()
    found = [row.standing for row in table.rows]
    # The devices of most models first.
    counts: dict[DeviceKey, int] = {}
    for item in found:
        for key in item.performance() if item.status == "ok" and item.role != "baseline" else ():
            counts[key] = counts.get(key, 0) + 1
    devices = sorted(counts, key=lambda key: (-counts[key], key))
    plots = (_device_plot(key, table.ranking, found) for key in devices)
    return tuple(plot for plot in plots if plot is not None)


def pareto_front(candidates: Sequence[Candidate], direction: str) -> list[Candidate]:
    """The candidates that no other equals in both quality and latency while it beats them in one; fastest first.

    Models of the same quality and latency are on the front together or not at all.
    """
    front: list[Candidate] = []
    for item in sorted(candidates, key=lambda one: (one.latency, -_height(one, direction), one.page)):
        if not front or _height(item, direction) > _height(front[-1], direction) or _same(item, front[-1]):
            front.append(item)
    return front


def _same(one: Candidate, other: Candidate) -> bool:
    return one.latency == other.latency and one.quality == other.quality


def _height(item: Candidate, direction: str) -> float:
    return item.quality if direction == "higher" else -item.quality


def _device_plot(key: DeviceKey, ranking: MetricKey, found: Sequence[Standing]) -> ParetoPlot | None:
    candidates: list[Candidate] = []
    left_out = {"failed": 0, "baselines": 0, "without a score or a latency here": 0}
    kinds = set()
    for item in found:
        if item.role == "baseline":
            left_out["baselines"] += 1
        elif item.status != "ok":
            left_out["failed"] += 1
        else:
            candidate, kind = _candidate(item, key, ranking)
            if candidate is None:
                left_out["without a score or a latency here"] += 1
            else:
                candidates.append(candidate)
                kinds |= {kind} if kind else set()
    if len(kinds) > 1:
        # Sizes that count different things would mislead.
        candidates = [Candidate(**{**vars(item), "memory": None}) for item in candidates]
    if len(candidates) < 2:
        return None
    reasons = tuple(f"{number:,} {reason}" for reason, number in left_out.items() if number)
    return plot(one_line(key.label), ranking, candidates, kinds.pop() if len(kinds) == 1 else "", reasons)


def _candidate(item: Standing, key: DeviceKey, ranking: MetricKey) -> tuple[Candidate | None, str | None]:
    """The model as the board has it: mean score, median of the seeds' latencies and peaks."""
    summary, measured = item.quality().get(ranking), item.performance().get(key, [])
    times = [
        time
        for one in measured
        if one.latency is not None and (time := in_seconds(one.latency.median, one.latency.unit)) is not None
    ]
    if summary is None or not times:
        return None, None
    latency = Summary(tuple(times)).median
    ends = (summary.mean, *(summary.interval or ()))
    if not 1e-12 < latency <= _DRAWABLE or any(abs(end) > _DRAWABLE for end in ends):
        return None, None
    parts = [one.memory for one in measured if one.memory is not None]
    kinds = {one_line(part.kind) for part in parts}
    peak = Summary(tuple(figures.as_float(part.peak) for part in parts)).median if len(kinds) == 1 else None
    if peak is not None and not 0 < peak <= 2**60:
        peak = None
    interval = interval_text(summary, ranking.unit).replace("\n", "; ")
    made = Candidate(item.name, model_slug(item), summary.mean, latency, summary.interval, peak, interval)
    return made, kinds.pop() if len(kinds) == 1 else None


def plot(
    device: str, ranking: MetricKey, candidates: Sequence[Candidate], memory_kind: str, left_out: tuple[str, ...]
) -> ParetoPlot:
    """The plot of two or more candidates."""
    front = pareto_front(candidates, ranking.direction)
    on_front = {item.page for item in front}
    rest = sorted(
        (item for item in candidates if item.page not in on_front),
        key=lambda item: (-_height(item, ranking.direction), item.page),
    )
    drawn = [*front, *rest[: max(0, DRAWN - len(front))]]
    x_scale, x_values, logarithmic = _latency_scale(drawn)
    y_scale, y_values = _quality_scale(drawn, ranking.direction)
    largest = max((item.memory for item in drawn if item.memory is not None), default=0.0)
    radii = [_radius(item.memory, largest) for item in drawn]
    spots = [
        (x_scale.at(item.latency * 1000), y_scale.at(item.quality), radius)
        for item, radius in zip(drawn, radii, strict=True)
    ]
    marks = [
        _mark(item, item.page in on_front, spot, ranking, y_scale, whisker=len(drawn) <= _WHISKERED)
        for item, spot in zip(drawn, spots, strict=True)
    ]
    names = [one_line(item.name) if item.page in on_front or len(drawn) <= _LABELLED else None for item in drawn]
    stairs = _stairs(front, x_scale, y_scale)
    frame = Box(_LEFT + 2, _TOP - 8, _RIGHT + 14, _BOTTOM - 2)
    labels = [
        MarkLabel(label.text, f"{label.x:.1f}", f"{label.y:.1f}", label.anchor, item.page in on_front)
        for item, label in zip(drawn, placed(names, spots, frame, _lines(stairs, marks)), strict=True)
        if label is not None
    ]
    more = f" The {len(drawn):,} best of {len(candidates):,} models are drawn." if len(drawn) < len(candidates) else ""
    said = "; ".join(f"{one_line(item.name)} {_facts(item, ranking)}" for item in front[:20])
    metric = one_line(ranking.metric)
    return ParetoPlot(
        device=device,
        metric=metric,
        direction=ranking.direction,
        description=f"{metric} against latency on {device}. On the front, fastest first: {said}.{more}",
        memory_kind=memory_kind if largest else "",
        x_axis=f"Latency of one source (ms{', logarithmic' if logarithmic else ''}), lower is better",
        y_axis=f"{metric} ({one_line(ranking.unit)}), {ranking.direction} is better",
        width=_WIDTH,
        height=_BOTTOM + (96 if largest else 70),
        left=_LEFT,
        right=_RIGHT,
        top=_TOP,
        bottom=_BOTTOM,
        x_ticks=x_scale.ticks(x_values),
        y_ticks=y_scale.ticks(y_values),
        front_line=" ".join(f"{x:.1f},{y:.1f}" for x, y in stairs),
        # Large marks first, so that small ones stay in sight; the front above all.
        marks=tuple(mark for _, mark in sorted(zip(radii, marks, strict=True), key=lambda p: (p[1].front, -p[0]))),
        labels=tuple(labels),
        memory_marks=_memory_marks(drawn, largest),
        rows=tuple(_rows(front, rest, ranking)),
        models=len(candidates),
        left_out=left_out,
    )


def _latency_scale(drawn: Sequence[Candidate]) -> tuple[Scale | LogScale, list[float], bool]:
    times = [item.latency * 1000 for item in drawn]
    low, high = min(times), max(times)
    if high / low >= _LOGARITHMIC_FROM:
        values = log_ticks(low / 1.1, high * 1.1)
        return LogScale(values[0], values[-1], _LEFT, _RIGHT), values, True
    pad = 0.08 * (high - low)
    values = nice_ticks(max(0.0, low - pad), high + pad, 7)
    return Scale(values[0], values[-1], _LEFT, _RIGHT), values, False


def _quality_scale(drawn: Sequence[Candidate], direction: str) -> tuple[Scale, list[float]]:
    """Better is up, also where lower is better."""
    ends = [item.quality for item in drawn]
    if len(drawn) <= _WHISKERED:
        ends += [end for item in drawn for end in item.interval or ()]
    values = nice_ticks(min(ends), max(ends))
    start, end = (_BOTTOM, _TOP) if direction == "higher" else (_TOP, _BOTTOM)
    return Scale(values[0], values[-1], start, end), values


def _radius(memory: float | None, largest: float) -> float:
    """The area of a mark is proportional to its memory."""
    if memory is None:
        return 5.0 if largest else 6.0
    return max(_SMALLEST_RADIUS, _LARGEST_RADIUS * math.sqrt(memory / largest))


def _mark(
    item: Candidate,
    front: bool,
    spot: tuple[float, float, float],
    ranking: MetricKey,
    y_scale: Scale,
    *,
    whisker: bool,
) -> Mark:
    x, y, radius = spot
    shape = "cross" if item.memory is None and not front else "circle" if front else "square"
    # A square of the circle's area.
    size = radius * math.sqrt(math.pi) / 2 if shape == "square" else radius
    ends = (y_scale.pixel(item.interval[0]), y_scale.pixel(item.interval[1])) if whisker and item.interval else None
    label = f"{one_line(item.name)}: {_facts(item, ranking)}{', on the front' if front else ''}"
    return Mark(label, front, shape, f"{x:.1f}", f"{y:.1f}", f"{size:.1f}", ends)


def _facts(item: Candidate, ranking: MetricKey) -> str:
    score = f"{one_line(ranking.metric)} {figures.score(item.quality, ranking.unit)}"
    memory = f", {figures.mebibytes(item.memory)} MiB" if item.memory is not None else ""
    return f"{score}, {figures.milliseconds(item.latency)} ms{memory}"


def _stairs(front: Sequence[Candidate], x_scale: Scale | LogScale, y_scale: Scale) -> list[tuple[float, float]]:
    """What is beyond this line no model reaches: level until the next model, then up to it."""
    steps: list[tuple[float, float]] = []
    for item in front:
        x, y = x_scale.at(item.latency * 1000), y_scale.at(item.quality)
        if steps:
            steps.append((x, steps[-1][1]))
        else:
            steps.append((x, float(_BOTTOM)))
        steps.append((x, y))
    steps.append((float(_RIGHT), steps[-1][1]))
    return steps


def _lines(stairs: Sequence[tuple[float, float]], marks: Sequence[Mark]) -> list[Box]:
    """What a label had better not cross: the front's line and the intervals."""
    found = [Box(min(a, c) - 1, min(b, d) - 1, max(a, c) + 1, max(b, d) + 1) for (a, b), (c, d) in pairwise(stairs)]
    for mark in marks:
        if mark.whisker is not None:
            x, ends = float(mark.x), [float(end) for end in mark.whisker]
            found.append(Box(x - 1, min(ends), x + 1, max(ends)))
    return found


def _memory_marks(drawn: Sequence[Candidate], largest: float) -> tuple[MemoryMark, ...]:
    """A key of one to three sizes: the largest, the smallest, and a middle one where they differ much."""
    sizes = [item.memory for item in drawn if item.memory is not None]
    if not sizes:
        return ()
    chosen = [min(sizes), largest]
    if chosen[1] / chosen[0] > 4:
        chosen.insert(1, math.sqrt(chosen[0] * chosen[1]))
    elif chosen[1] / chosen[0] < 1.02:
        chosen = chosen[1:]
    labels = [f"{figures.mebibytes(value)} MiB" for value in chosen]
    radii = [_radius(value, largest) for value in chosen]
    widths = [2 * radius + 6 + text_width(label, 12) for radius, label in zip(radii, labels, strict=True)]
    y, found = _BOTTOM + 74.0, []
    x = _RIGHT - sum(widths) - 14 * (len(widths) - 1)
    for radius, label, width in zip(radii, labels, widths, strict=True):
        end = x + 2 * radius + 6
        found.append(MemoryMark(f"{x + radius:.1f}", f"{y:.1f}", f"{end:.1f}", f"{y + 4:.1f}", f"{radius:.1f}", label))
        x += width + 14
    return tuple(found)


def _rows(front: Sequence[Candidate], rest: Sequence[Candidate], ranking: MetricKey) -> Iterator[ParetoRow]:
    for item in [*front, *rest][:LISTED]:
        beaten_by = None
        if not any(item is one for one in front):
            better = [one for one in front if one.latency <= item.latency]
            beaten_by = max(better, key=lambda one: (_height(one, ranking.direction), -one.latency), default=None)
        yield ParetoRow(
            name=item.name,
            page=item.page,
            quality=figures.score(item.quality, ranking.unit),
            interval=item.detail,
            latency=figures.milliseconds(item.latency),
            memory=figures.NONE if item.memory is None else figures.mebibytes(item.memory),
            front=beaten_by is None,
            beaten_by=beaten_by.name if beaten_by else "",
        )
