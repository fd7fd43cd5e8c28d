"""What probes found along an axis and over training, on a model's page."""

from __future__ import annotations

import pytest

from zoo.site.probe_charts import series_figures, training_figures

LAYERS = {
    "axis": "decoder layer",
    "unit": "share",
    "x": [1, 2, 3],
    "lines": {"end": [0.5, 0.25, 0.0], "word": [0, 0, 1]},
}
CLASSES = {"axis": "class", "unit": "share", "x": ["end", "word"], "lines": {"raw": [0.75, 0.25]}}


def positions(ticks):
    return {tick.label: float(tick.at) for tick in ticks}


def test_a_series_over_numbers_is_a_line_through_its_values(make_record):
    (figure,) = series_figures([make_record(probe_series={"mass.by_layer": LAYERS})])
    chart = figure.chart
    x, y = positions(chart.x_ticks), positions(chart.y_ticks)
    end, word = chart.lines
    assert (end.full_label, word.full_label) == ("end", "word")
    points = [tuple(map(float, point.split(","))) for point in end.points.split()]
    assert [at for at, _ in points] == pytest.approx([x["1"], x["2"], x["3"]], abs=0.11)
    assert [at for _, at in points] == pytest.approx(
        [(y["0.0"] + y["1.0"]) / 2, y["0.0"] + (y["1.0"] - y["0.0"]) / 4, y["0.0"]], abs=0.11
    )
    assert (
        chart.description
        == "share against decoder layer: end from 0.500 at 1 to 0 at 3; word from 0 at 1 to 1.00 at 3."
    )
    assert figure.table.rows == (("1", ("0.5000", "0")), ("2", ("0.2500", "0")), ("3", ("0", "1.000")))
    assert end.kind != word.kind


def test_names_are_dots_that_nothing_joins(make_record):
    (figure,) = series_figures([make_record(probe_series={"mass.by_class": CLASSES})])
    (line,) = figure.chart.lines
    assert line.points == ""
    assert [mark.label for mark in line.marks] == ["raw, end: 0.750", "raw, word: 0.250"]
    assert [tick.label for tick in figure.chart.x_ticks] == ["end", "word"]


def test_lines_over_names_stand_side_by_side_in_the_order_of_the_key(make_record):
    three = {**CLASSES, "lines": {name: [0.5, 0.5] for name in ("raw", "weighted", "even")}}
    (figure,) = series_figures([make_record(probe_series={"mass.by_class": three})])
    places = [[float(mark.x) for mark in line.marks] for line in figure.chart.lines]
    end, word = zip(*places, strict=True)
    assert end[0] < end[1] < end[2] < word[0] < word[1] < word[2]
    ticks = [float(tick.at) for tick in figure.chart.x_ticks]
    assert [end[1], word[1]] == pytest.approx(ticks, abs=0.11)


def test_places_that_are_whole_have_no_ticks_between(make_record):
    (figure,) = series_figures([make_record(probe_series={"mass.by_layer": LAYERS})])
    assert [tick.label for tick in figure.chart.x_ticks] == ["1", "2", "3"]
    parts = {**LAYERS, "x": [0.0, 0.25, 1.0]}
    (figure,) = series_figures([make_record(probe_series={"norms.quantiles": parts})])
    assert [tick.label for tick in figure.chart.x_ticks] == ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]


def test_of_several_seeds_the_chart_shows_the_mean_and_each_and_the_table_each(make_record):
    other = {**LAYERS, "lines": {"end": [0.7, None, 0.2], "word": [0, 0, 1]}}
    records = [
        make_record(seed=1, probe_series={"mass.by_layer": LAYERS}),
        make_record(seed=2, probe_series={"mass.by_layer": other}),
        make_record(seed=3),
    ]
    (figure,) = series_figures(records)
    end = figure.chart.lines[0]
    assert [mark.label for mark in end.marks] == [
        "end, 1: mean of 2 seeds 0.600",
        "end, 2: 0.250",
        "end, 3: mean of 2 seeds 0.100",
    ]
    assert len(end.seeds) == 4
    assert figure.table.columns == ("end, seed 1", "end, seed 2", "word, seed 1", "word, seed 2")
    assert figure.table.rows[1] == ("2", ("0.2500", "–", "0", "0"))


def test_one_place_or_values_that_cannot_be_drawn_make_a_table_alone(make_record):
    single = {"axis": "a", "unit": "u", "x": [1], "lines": {"one": [0.5]}}
    huge = {"axis": "a", "unit": "u", "x": [1, 2], "lines": {"one": [1e300, 0.5]}}
    for series in (single, huge):
        (figure,) = series_figures([make_record(probe_series={"p.s": series})])
        assert figure.chart is None
        assert figure.table.rows[-1][1] == ("0.5000",)


def test_more_lines_than_can_be_told_apart_are_said_to_be_left_out(build, make_record):
    many = {"axis": "a", "unit": "u", "x": [1, 2], "lines": {f"line {n}": [n, n + 1] for n in range(20)}}
    site = build([make_record(probe_series={"p.s": many})])
    section = site.model("rotary").one("section", aria_labelledby="probes")
    assert section.one("figcaption").words == "4 more lines are in the table alone."
    table = next(item for item in section.all("table") if item.one("thead").all("th")[0].words == "a")
    assert len(table.one("thead").all("th")) == 21


def test_scalars_over_training_are_lines_by_seed(make_record):
    curves = {
        1: [(0, {"swap.difference": 0.0}), (20, {"swap.difference": 1.0, "swap.loss": 2.0})],
        2: [(20, {"swap.difference": 3.0}), (40, {"swap.difference": 4.0, "norms.total": 1.0})],
    }
    records = [
        make_record(seed=seed, curve=[{"step": step, "loss": 1.0, "probes": probes} for step, probes in points])
        for seed, points in curves.items()
    ]
    norms, swap = training_figures(records)
    assert (norms.probe, swap.probe) == ("norms", "swap")
    difference, loss = swap.figures
    assert [line.full_label for line in difference.chart.lines] == ["seed 1", "seed 2"]
    assert difference.table.rows == (("0", ("0", "–")), ("20", ("1.000", "3.000")), ("40", ("–", "4.000")))
    assert loss.chart is None, "one point is no curve"


def test_the_page_has_each_plot_with_its_table_beside_it(build, make_record):
    record = make_record(
        probe_series={"mass.by_layer": LAYERS, "mass.by_class": CLASSES},
        curve=[{"step": step, "loss": 2.0, "probes": {"swap.difference": step / 10}} for step in (0, 20, 40)],
    )
    section = build([record]).model("rotary").one("section", aria_labelledby="probes")
    charts = [svg for svg in section.all("svg") if svg.attributes.get("class") == "chart"]
    titles = [chart.all("title")[0] for chart in charts]
    assert [title.words for title in titles] == ["mass.by_class", "mass.by_layer", "swap.difference"]
    for chart, title in zip(charts, titles, strict=True):
        ids = chart.attributes["aria-labelledby"].split()
        assert [title.attributes["id"], chart.one("desc").attributes["id"]] == ids
        assert "All values are in the table below." in chart.one("desc").words
    labels = [item.attributes.get("aria-label", "") for item in section.all("div")]
    for name in ("mass.by_layer", "mass.by_class", "swap.difference"):
        assert f"{name} as a table" in labels
    ids = [node.attributes["id"] for node in section.all("title") if "id" in node.attributes]
    assert len(ids) == len(set(ids))


def test_points_that_have_only_probes_are_no_rows_of_the_learning_curve(build, make_record):
    record = make_record(curve=[{"step": 0, "probes": {"a.b": 1.0}}, {"step": 20, "loss": 2.0, "probes": {"a.b": 2.0}}])
    page = build([record]).model("rotary")
    rows = page.one("section", aria_labelledby="curve").one("tbody").all("tr")
    assert [row.all("td")[1].words for row in rows] == ["20"]
    bare = build([make_record(curve=[{"step": 0, "probes": {"a.b": 1.0}}])], name="bare").model("rotary")
    assert not [item for item in bare.all("section") if item.attributes.get("aria-labelledby") == "curve"]
