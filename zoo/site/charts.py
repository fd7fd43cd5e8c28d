"""Geometry of the charts. Templates write the SVG, so that names are escaped as everywhere else on a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from zoo.bench.record import Record
from zoo.site import figures
from zoo.site.naming import one_line
from zoo.site.scales import Scale, Tick, nice_ticks

_LABEL_WIDTH = 30
_DRAWABLE = 1e12
"""Larger numbers come from broken or hostile records; charts leave them out, tables show them."""


@dataclass(frozen=True)
class IntervalInput:
    """One row of an interval chart."""

    label: str
    value: float
    interval: tuple[float, float] | None
    seeds: tuple[float, ...]
    baseline: bool


@dataclass(frozen=True)
class IntervalRow:
    label: str
    full_label: str
    y: str
    text_y: str
    x: str
    low: str | None
    high: str | None
    seeds: tuple[str, ...]
    value_label: str
    baseline: bool


@dataclass(frozen=True)
class IntervalChart:
    """Dots with whiskers, one row per model."""

    title: str
    description: str
    axis: str
    width: int
    height: int
    left: int
    right: int
    bottom: str
    ticks: tuple[Tick, ...]
    rows: tuple[IntervalRow, ...]


def _ends(item: IntervalInput) -> tuple[float, ...]:
    return (*(item.interval or ()), item.value, *item.seeds)


def interval_chart(title: str, axis: str, unit: str, inputs: Sequence[IntervalInput]) -> IntervalChart | None:
    """A chart of `inputs` from top to bottom; None where there is nothing to compare."""
    inputs = [item for item in inputs if all(abs(end) <= _DRAWABLE for end in _ends(item))]
    if len(inputs) < 2:
        return None
    ends = [end for item in inputs for end in _ends(item)]
    # Scores that start near zero are read from zero; others would waste the width.
    low = 0.0 if 0 <= min(ends) < 0.5 * max(ends) else min(ends)
    values = nice_ticks(low, max(ends))
    longest = max(min(len(one_line(item.label)), _LABEL_WIDTH) for item in inputs)
    left, top, row_height = 30 + 7 * longest, 10, 28
    right = left + 440
    scale = Scale(values[0], values[-1], left, right)
    rows = []
    for index, item in enumerate(inputs):
        label = one_line(item.label)
        y = top + row_height * (index + 0.5)
        rows.append(
            IntervalRow(
                label=label if len(label) <= _LABEL_WIDTH else label[: _LABEL_WIDTH - 1] + "…",
                full_label=label,
                y=f"{y:.1f}",
                text_y=f"{y + 4.5:.1f}",
                x=scale.pixel(item.value),
                low=scale.pixel(item.interval[0]) if item.interval else None,
                high=scale.pixel(item.interval[1]) if item.interval else None,
                seeds=tuple(scale.pixel(value) for value in item.seeds) if len(item.seeds) > 1 else (),
                value_label=figures.score(item.value, unit),
                baseline=item.baseline,
            )
        )
    bottom = top + row_height * len(inputs)
    best = "; ".join(f"{row.full_label} {row.value_label}" for row in rows)
    return IntervalChart(
        title=title,
        description=f"{axis}. {best}.",
        axis=axis,
        width=right + 20 + 9 * max(4, *(len(row.value_label) for row in rows)),
        height=bottom + 46,
        left=left,
        right=right,
        bottom=f"{bottom:.1f}",
        ticks=scale.ticks(values),
        rows=tuple(rows),
    )


@dataclass(frozen=True)
class Line:
    """One line of a curve chart; `dots` where its points are few enough to be seen singly."""

    kind: str
    label: str
    points: str
    dots: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class CurveChart:
    """Losses over steps."""

    title: str
    description: str
    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]


_SERIES = (
    ("train", "training loss", "loss"),
    ("dev", "dev loss", "dev_loss"),
    ("averaged", "averaged, dev", "averaged_dev_loss"),
)


def curve_chart(title: str, records: Sequence[Record]) -> CurveChart | None:
    """Training and dev loss of `records`, averaged weights apart, one line each; None where no loss was logged."""
    found: list[tuple[str, str, list[tuple[int, float]]]] = []
    for record in records:
        for kind, name, field in _SERIES:
            points = sorted(
                (point.step, value)
                for point in record.curve
                if (value := getattr(point, field)) is not None and max(abs(value), abs(point.step)) <= _DRAWABLE
            )
            if points:
                found.append((kind, f"{name}, seed {record.seed}", points))
    if not found:
        return None
    steps = [step for _, _, points in found for step, _ in points]
    losses = [loss for _, _, points in found for _, loss in points]
    x_values = [value for value in nice_ticks(min(0, *steps), max(1, *steps), 7) if value == int(value)]
    y_values = nice_ticks(0.0 if 0 <= min(losses) < 0.5 * max(losses) else min(losses), max(losses))
    width, height, left, right, top, bottom = 760, 340, 64, 744, 16, 284
    x_scale, y_scale = Scale(x_values[0], x_values[-1], left, right), Scale(y_values[0], y_values[-1], bottom, top)
    lines = []
    for kind, label, points in found:
        pixels = [(x_scale.pixel(step), y_scale.pixel(loss)) for step, loss in points]
        dots = tuple(pixels) if len(pixels) <= 40 and (kind != "train" or len(pixels) == 1) else ()
        lines.append(Line(kind, label, " ".join(f"{x},{y}" for x, y in pixels), dots))
    ends = "; ".join(
        f"{label} from {figures.significant(points[0][1])} at step {points[0][0]} "
        f"to {figures.significant(points[-1][1])} at step {points[-1][0]}"
        for _, label, points in found
    )
    return CurveChart(
        title=title,
        description=f"Loss against optimizer steps: {ends}.",
        width=width,
        height=height,
        left=left,
        right=right,
        top=top,
        bottom=bottom,
        x_ticks=x_scale.ticks(x_values),
        y_ticks=y_scale.ticks(y_values),
        lines=tuple(lines),
    )
