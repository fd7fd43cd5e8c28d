"""Geometry of the charts."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.bench.record import CurvePoint
from zoo.site.charts import IntervalInput, curve_chart, interval_chart
from zoo.site.scales import LogScale, log_ticks, nice_ticks

drawable = st.floats(-1e12, 1e12)


@given(drawable, drawable)
def test_ticks_cover_the_values_evenly_and_are_few(one, other):
    low, high = min(one, other), max(one, other)
    ticks = nice_ticks(low, high)
    slack = 1e-6 * max(1.0, abs(low), abs(high))
    assert ticks[0] <= low + slack
    assert ticks[-1] >= high - slack
    assert 2 <= len(ticks) <= 12
    steps = {round((b - a) / (ticks[1] - ticks[0]), 3) for a, b in pairwise(ticks)}
    assert steps == {1.0}


def test_ticks_are_round_numbers():
    assert nice_ticks(0, 26) == [0, 10, 20, 30]
    assert nice_ticks(2.2, 9.1) == [2, 4, 6, 8, 10]


@given(st.floats(1e-9, 1e9), st.floats(1.0, 1e6))
def test_logarithmic_ticks_cover_the_values_and_their_labels_tell_them_apart(low, ratio):
    ticks = log_ticks(low, low * ratio)
    assert ticks[0] <= low * (1 + 1e-6)
    assert ticks[-1] >= low * ratio * (1 - 1e-6)
    assert 2 <= len(ticks) <= 15
    assert all(one < other for one, other in pairwise(ticks))
    labels = [tick.label for tick in LogScale(ticks[0], ticks[-1], 0, 100).ticks(ticks)]
    assert len(set(labels)) == len(labels)


def test_logarithmic_ticks_are_one_two_five():
    assert log_ticks(30, 400) == pytest.approx([20, 50, 100, 200, 500])


def test_a_logarithmic_scale_gives_equal_room_to_equal_ratios():
    scale = LogScale(1, 1000, 0, 300)
    assert [scale.at(value) for value in (1, 10, 100, 1000)] == pytest.approx([0, 100, 200, 300])


def bars(*values, **changes):
    return [
        IntervalInput(f"model {value}", value, (value - 1, value + 1), (value,), False, **changes) for value in values
    ]


def test_marks_stand_where_the_axis_says():
    chart = interval_chart("BLEU", "BLEU (points)", "points", bars(20.0, 10.0))
    position = {tick.label: float(tick.at) for tick in chart.ticks}
    labels = sorted(position, key=float)
    for row, value in zip(chart.rows, (20.0, 10.0), strict=True):
        low, high = float(labels[0]), float(labels[-1])
        left, right = position[labels[0]], position[labels[-1]]
        for place, expected in ((row.x, value), (row.low, value - 1), (row.high, value + 1)):
            assert float(place) == pytest.approx(left + (expected - low) / (high - low) * (right - left), abs=0.11)


def test_a_single_model_needs_no_chart():
    assert interval_chart("BLEU", "BLEU", "points", bars(20.0)) is None


def test_values_too_large_to_draw_are_left_out_of_charts():
    assert len(interval_chart("BLEU", "BLEU", "points", bars(1.0, 2.0, 1e300)).rows) == 2


def test_a_curve_has_one_line_per_seed_and_loss(make_record, part):
    records = [make_record(seed=seed, curve=part.curve(2.0, seed, steps=400)) for seed in (1, 2)]
    chart = curve_chart("curve", records)
    assert [(line.kind, line.label) for line in chart.lines] == [
        ("train", "training loss, seed 1"),
        ("dev", "dev loss, seed 1"),
        ("train", "training loss, seed 2"),
        ("dev", "dev loss, seed 2"),
    ]
    assert len(chart.lines[0].points.split()) == 20
    assert len(chart.lines[1].dots) == 2
    xs = [float(point.split(",")[0]) for point in chart.lines[0].points.split()]
    assert xs == sorted(xs)
    assert chart.left <= xs[0] <= xs[-1] <= chart.right


def test_the_loss_of_averaged_weights_is_a_line_of_its_own(make_record):
    points = [CurvePoint(step=step, dev_loss=3.0 / step, averaged_dev_loss=2.5 / step) for step in (1, 2, 3)]
    chart = curve_chart("curve", [make_record(curve=points)])
    assert [line.kind for line in chart.lines] == ["dev", "averaged"]
    assert len(chart.lines[1].dots) == 3
    assert "averaged, dev" in chart.description


def test_a_curve_without_losses_has_no_chart(make_record):
    assert curve_chart("curve", [make_record(curve=[CurvePoint(step=1, learning_rate=0.1)])]) is None


finite = st.none() | st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(st.builds(CurvePoint, step=st.integers(0, 2**53 - 1), loss=finite, dev_loss=finite), max_size=8))
def test_no_curve_that_a_record_can_hold_breaks_its_chart(points):
    class Holder:
        seed = 1
        curve = points

    chart = curve_chart("curve", [Holder()])
    drawn = [
        p for p in points if any(v is not None and abs(v) <= 1e12 for v in (p.loss, p.dev_loss)) and abs(p.step) <= 1e12
    ]
    assert (chart is not None) == bool(drawn)
