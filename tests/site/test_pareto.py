"""The front of quality against latency, and how it is drawn."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.bench.standings import MetricKey
from zoo.site.labels import Box, placed, text_width
from zoo.site.pareto import Candidate, pareto_front, plot

RANKING = MetricKey("BLEU", "test", "points", "higher", "v1", 100)


def candidate(name, quality, latency, **changes):
    return Candidate(name, f"page-{name}", quality, latency, **changes)


candidates = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), min_size=1, max_size=30).map(
    lambda pairs: [candidate(f"m{index}", float(q), float(t)) for index, (q, t) in enumerate(pairs)]
)


@given(candidates, st.sampled_from(["higher", "lower"]))
def test_the_front_is_what_nothing_dominates(found, direction):
    def better(one, other):
        return one > other if direction == "higher" else one < other

    def dominates(one, other):
        no_worse = not better(other.quality, one.quality) and one.latency <= other.latency
        return no_worse and (better(one.quality, other.quality) or one.latency < other.latency)

    expected = {item.name for item in found if not any(dominates(other, item) for other in found)}
    assert {item.name for item in pareto_front(found, direction)} == expected


def test_a_plot_stands_for_each_device_and_says_what_it_leaves_out(build, realistic):
    section = build(realistic).board().one("section", class_="paretos")
    assert section.one("h2").words == "Quality against latency"
    # Only rotary was measured on the GPU: one model needs no plot.
    assert [item.words for item in section.all("h3")] == ["CPU AMD EPYC 7763 64-Core Processor, 2 threads, float32"]
    assert "Left out of the plot: 1 failed, 2 baselines." in section.words


def test_a_model_measured_elsewhere_only_is_said_to_be_left_out(build, make_record, part):
    records = [make_record(name=name) for name in ("a", "b")]
    records.append(make_record(name="c", performance=[part.gpu()]))
    assert "1 without a score or a latency here" in build(records).board().one("section", class_="paretos").words


def test_every_mark_says_its_values_and_so_do_the_description_and_the_table(build, realistic):
    section = build(realistic).board().one("section", class_="paretos")
    titles = [
        mark.one("title").words for kind in ("on-front", "dominated") for mark in section.all("g", class_=kind)[:-1]
    ]
    # Latencies 98.7, 104.1 and the median of 114.3, 116.3 and 118.3 ms: each step to a slower model gains BLEU.
    assert sorted(titles) == [
        "alibi: BLEU 23.7, 104 ms, 580 MiB, on the front",
        "rotary: BLEU 24.6, 116 ms, 584 MiB, on the front",
        "sinusoidal: BLEU 19.2, 98.7 ms, 580 MiB, on the front",
    ]
    description = section.one("svg").one("desc").words
    assert "On the front, fastest first: sinusoidal BLEU 19.2" in description
    assert [row.one("th").words for row in section.one("tbody").all("tr")] == ["sinusoidal", "alibi", "rotary"]


def test_a_beaten_model_is_muted_and_the_table_says_by_whom(build, make_record, part):
    records = [
        make_record(name="quick", quality=[part.quality(20.0)], performance=[part.cpu(0.1)]),
        make_record(name="slow", quality=[part.quality(19.0)], performance=[part.cpu(0.2)]),
    ]
    section = build(records).board().one("section", class_="paretos")
    assert [row.all("td")[0].words for row in section.one("tbody").all("tr")] == [
        "yes",
        "no: quick is at least as good in both",
    ]
    (mark, _) = section.all("g", class_="dominated")
    assert mark.one("rect")
    assert not mark.all("circle")


def test_areas_are_proportional_to_memory_whatever_the_shape():
    found = [
        candidate("a", 3.0, 1.0, memory=100e6),
        candidate("b", 2.0, 2.0, memory=400e6),
        candidate("c", 1.0, 3.0, memory=200e6),
    ]
    drawn = plot("cpu", RANKING, found, "rss", ())
    area = {}
    for mark in drawn.marks:
        size = float(mark.size)
        area[mark.full_label[0]] = math.pi * size**2 if mark.shape == "circle" else (2 * size) ** 2
    assert {mark.shape for mark in drawn.marks} == {"circle", "square"}
    assert area["b"] / area["a"] == pytest.approx(4, rel=0.05)
    assert area["b"] / area["c"] == pytest.approx(2, rel=0.05)


def test_where_lower_is_better_the_better_model_stands_higher():
    ranking = RANKING._replace(metric="TER", direction="lower")
    drawn = plot("cpu", ranking, [candidate("good", 40.0, 1.0), candidate("bad", 60.0, 2.0)], "", ())
    heights = {mark.full_label.split(":")[0]: float(mark.y) for mark in drawn.marks}
    assert heights["good"] < heights["bad"]
    assert [mark.front for mark in drawn.marks if mark.full_label.startswith("good")] == [True]


def test_latency_is_logarithmic_where_it_spans_much():
    near = plot("cpu", RANKING, [candidate("a", 1.0, 0.1), candidate("b", 2.0, 0.2)], "", ())
    far = plot("cpu", RANKING, [candidate("a", 1.0, 0.01), candidate("b", 2.0, 2.0)], "", ())
    assert "logarithmic" not in near.x_axis
    assert "logarithmic" in far.x_axis
    # 10 ms and 2 s: every mark lies between the ends of the axis.
    assert all(far.left <= float(mark.x) <= far.right for mark in far.marks)


def test_a_board_of_thousands_draws_its_front_whole_and_says_what_is_not_drawn():
    front = [candidate(f"f{index}", 50.0 + index, 1.0 + index) for index in range(20)]
    rest = [candidate(f"r{index}", index / 100, 30.0 + index) for index in range(3000)]
    drawn = plot("cpu", RANKING, [*front, *rest], "", ())
    assert sum(mark.front for mark in drawn.marks) == 20
    assert len(drawn.marks) == 400
    assert "The 400 best of 3,020 models are drawn." in drawn.description


spots = st.lists(st.tuples(st.floats(20, 380), st.floats(20, 280), st.floats(3, 15)), max_size=30)


@given(spots, st.lists(st.text("aW字", min_size=1, max_size=30), min_size=30, max_size=30))
def test_no_label_covers_a_mark_or_another_label(marks, names):
    frame = Box(0, 0, 400, 300)
    labels = [label for label in placed(names[: len(marks)], marks, frame) if label is not None]
    boxes = []
    for label in labels:
        width = text_width(label.text, 12)
        left = {"start": label.x, "end": label.x - width, "middle": label.x - width / 2}[label.anchor]
        boxes.append(Box(left, label.y - 11.7, left + width, label.y + 3))
    circles = [Box(x - r + 0.01, y - r + 0.01, x + r - 0.01, y + r - 0.01) for x, y, r in marks]
    for index, box in enumerate(boxes):
        assert box.within(Box(-1, -1, 401, 301))
        assert not any(box.meets(other) for other in circles)
        shrunk = Box(box.left + 0.01, box.top + 0.1, box.right - 0.01, box.bottom - 0.1)
        assert not any(shrunk.meets(other) for other in boxes[:index])


@given(st.lists(st.tuples(st.floats(1e-6, 1e6), st.floats(-1e9, 1e9), st.none() | st.floats(1, 1e15)), min_size=2))
def test_no_measurement_breaks_a_plot(values):
    found = [candidate(f"m{index}", q, t, memory=m) for index, (t, q, m) in enumerate(values)]
    drawn = plot("cpu", RANKING, found, "rss", ())
    numbers = re.findall(r"-?[0-9.]+|nan|inf", drawn.front_line)
    assert all(math.isfinite(float(number)) for number in numbers)
    for mark in drawn.marks:
        assert drawn.left - 0.1 <= float(mark.x) <= drawn.right + 0.1
        assert drawn.top - 0.1 <= float(mark.y) <= drawn.bottom + 0.1
