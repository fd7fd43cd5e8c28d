"""Measurements, probes and history on a model's page."""

from __future__ import annotations

import json

import pytest

from zoo.bench.record import Performance, Record
from zoo.bench.standings import standings
from zoo.bench.store import RecordStore
from zoo.site.history import history
from zoo.site.probes import probe_ranges, probe_rows

FULL = {
    "latency": {
        "unit": "s",
        "samples": 1000,
        "median": 0.1,
        "minimum": 0.09,
        "maximum": 0.2,
        "p90": 0.12,
        "p99": 0.15,
        "processes": [0.099, 0.1, 0.101],
    },
    "device_time": {"unit": "s", "samples": 50, "median": 0.08, "minimum": 0.07, "maximum": 0.1},
    "encode": {"unit": "s", "samples": 50, "median": 0.02, "minimum": 0.019, "maximum": 0.03},
    "decode_per_token": {"unit": "s", "samples": 50, "median": 0.004, "minimum": 0.003, "maximum": 0.01},
    "throughput": [
        {"batch": 1, "tokens_per_second": 80.0, "sentences_per_second": 5.0},
        {"batch": 64, "tokens_per_second": 900.0},
        {"batch": 512, "status": "oom"},
    ],
    "memory": {
        "kind": "cuda-allocated",
        "peak": 300 * 2**20,
        "before_load": 0,
        "after_load": 100 * 2**20,
        "reserved": 320 * 2**20,
        "device": 700 * 2**20,
    },
    "energy": {"joules": 50.0, "seconds": 2.0, "tokens": 10_000, "source": "NVML"},
    "calibration": {"kernel": "matrix product", "before": 0.01, "after": 0.0102},
    "optimizer_state_bytes": 64 * 2**20,
}


def measured(page):
    """Row label -> cells, of the first device."""
    table = page.one("section", aria_labelledby="performance").all("table")[0]
    return {
        row.one("th").text.partition("\n")[0].strip(): [cell.words for cell in row.all("td")]
        for row in table.one("tbody").all("tr")
    }


def test_everything_that_was_measured_is_on_the_page(build, make_record, part):
    performance = Performance.model_validate({**part.gpu().model_dump(), **FULL})
    rows = measured(build([make_record(performance=[performance])]).model("rotary"))
    by_start = {label[:12]: cells[0] for label, cells in rows.items()}
    assert by_start["Latencyone s"] == (
        "100 ms90.0 ms to 200 msp90 120 ms, p99 150 ms1,000 samplesmedians of 3 processes: 99.0, 100, 101"
    )
    assert by_start["Device timet"].startswith("80.0 ms")
    assert by_start["Reading the "].startswith("20.0 ms")
    assert by_start["Decoding, a "].startswith("4.00 ms")
    throughput = [cells[0] for label, cells in rows.items() if label.startswith("Throughput")]
    assert throughput == ["80.05.00 outputs a second", "900", "out of memory"]
    assert by_start["Peak memoryi"] == (
        "300 MiBcuda-allocatedbefore loading 0 MiBafter loading 100 MiBreserved 320 MiBGPU in all 700 MiB"
    )
    assert by_start["Optimizer st"] == "64.0 MiB"
    # 50 J over 10,000 tokens; 10.2 ms after 10 ms.
    assert by_start["Energyexperi"] == "50.0 J5.00 mJ a tokenin 2.00 s, 10,000 tokensNVML"
    assert by_start["Calibrationh"] == "+2.0%matrix product10.0 to 10.2 ms"


def test_a_seed_without_a_measurement_has_a_dash_and_absent_quantities_no_row(build, make_record, part):
    records = [
        make_record(seed=1, performance=[part.cpu(0.1)]),
        make_record(seed=2, performance=[part.cpu(0.2, memory=None)]),
    ]
    rows = measured(build(records).model("rotary"))
    memory = next(cells for label, cells in rows.items() if label.startswith("Peak memory"))
    assert memory[1] == "–"
    assert not [label for label in rows if label.startswith(("Energy", "Device time"))]


def test_a_probe_stands_among_the_boards_models(make_record):
    records = [make_record(name=f"m{index}", probes={"ratio": float(index)}) for index in range(5)]
    records.append(make_record(name="copy", role="baseline", probes={"ratio": 100.0}))
    records.append(make_record(name="fallen", status="collapsed", error="x", probes={"ratio": -50.0}))
    placed = standings(records)
    ranges = probe_ranges(placed)
    # Values 0 to 4 of the five good models.
    found = ranges["office-zh-en", "ratio"]
    assert (found.low, found.lower, found.upper, found.high, found.models) == (0.0, 1.0, 3.0, 4.0, 5)
    (row,) = probe_rows("office-zh-en", [records[1]], ranges)
    assert row.strip.label == "5 models from 0 to 4.00, the middle half from 1.00 to 3.00"
    start, end = float(row.strip.low), float(row.strip.high)
    assert float(row.strip.dots[0]) == pytest.approx(start + (end - start) / 4, abs=0.11)


def test_every_probe_has_a_row_also_where_only_one_model_has_it(build, make_record):
    page = build([make_record(probes={"a": 0.5, "b": 2.0}), make_record(name="x", probes={"a": 0.7})]).model("rotary")
    rows = page.one("section", aria_labelledby="probes").one("tbody").all("tr")
    assert [row.one("th").words for row in rows] == ["a", "b"]
    assert [len(row.all("svg")) for row in rows] == [1, 0]


def at_commit(commit, *, dirty=False):
    return {"git": {"commit": commit * 10, "dirty": dirty}}


def of(records, name="rotary"):
    (standing,) = [item for item in standings(records) if item.name == name]
    return history(standing, records)


def test_history_runs_over_commits_in_time_and_marks_changed_trees(make_record, part):
    records = [
        make_record(minute=3, environment=at_commit("cccc"), quality=[part.quality(22.0)]),
        make_record(minute=1, environment=at_commit("aaaa"), quality=[part.quality(20.0)]),
        make_record(minute=2, environment=at_commit("aaaa", dirty=True), quality=[part.quality(21.0)]),
        make_record(minute=4, environment=at_commit("aaaa"), quality=[part.quality(23.0)]),
    ]
    found = of(records)
    assert [tick.label for tick in found.chart.commits] == ["aaaaaaa", "aaaaaaa*", "ccccccc"]
    panel = found.chart.panels[0]
    assert [point.label.rpartition(": ")[2] for point in panel.points] == ["20.0", "21.0", "22.0", "23.0"]
    # A commit's records share its place, also those that came later.
    assert panel.points[0].x == panel.points[3].x
    assert [row.values[0] for row in found.rows] == ["23.0", "22.0", "21.0", "20.0"]
    assert found.rows[2].commit == "aaaaaaaaaaaa with local changes"


def test_the_line_joins_the_medians_of_commits(make_record, part):
    records = [
        make_record(seed=seed, minute=seed + 10 * place, environment=at_commit(commit), quality=[part.quality(value)])
        for place, (commit, values) in enumerate((("aaaa", (10.0, 12.0, 20.0)), ("bbbb", (30.0, 31.0, 32.0))))
        for seed, value in enumerate(values)
    ]
    panel = of(records).chart.panels[0]
    by_value = {point.label.rpartition(": ")[2]: (point.x, point.y) for point in panel.points}
    assert panel.line == " ".join(",".join(by_value[text]) for text in ("12.0", "31.0"))


def test_records_of_an_earlier_spec_are_in_the_history_and_marked(make_record, part):
    old = make_record(minute=1, environment=at_commit("aaaa"), spec={"model": 1})
    new = make_record(minute=2, environment=at_commit("bbbb"), spec={"model": 2})
    found = of([old, new])
    assert [row.current for row in found.rows] == [True, False]
    assert [point.current for point in found.chart.panels[0].points] == [False, True]


def test_scores_on_other_data_or_with_other_settings_are_no_part_of_the_line(make_record, part):
    records = [
        make_record(minute=1, environment=at_commit("aaaa"), quality=[part.quality(50.0, signature="other")]),
        make_record(minute=2, environment=at_commit("bbbb"), quality=[part.quality(20.0)]),
        make_record(minute=3, environment=at_commit("cccc"), quality=[part.quality(21.0)]),
    ]
    panel = of(records).chart.panels[0]
    assert [point.label.rpartition(": ")[2] for point in panel.points] == ["20.0", "21.0"]


def test_latencies_of_two_hardware_classes_never_share_a_panel(make_record, part):
    records = [
        make_record(minute=1, environment=at_commit("aaaa"), hardware="cpu: one", performance=[part.cpu(0.1)]),
        make_record(minute=2, environment=at_commit("bbbb"), hardware="cpu: one", performance=[part.cpu(0.2)]),
        make_record(minute=3, environment=at_commit("cccc"), hardware="cpu: two", performance=[part.cpu(0.3)]),
        make_record(minute=4, environment=at_commit("dddd"), hardware="cpu: one", performance=[part.gpu(0.01)]),
    ]
    panels = of(records).chart.panels[1:]
    values = [[point.label.rpartition(": ")[2] for point in panel.points] for panel in panels]
    assert sorted(values) == [["10.0 ms"], ["100 ms", "200 ms"], ["300 ms"]]


def test_one_record_has_no_history_and_one_commit_no_chart(make_record):
    assert of([make_record()]) is None
    found = of([make_record(seed=1), make_record(seed=2)])
    assert found.chart is None
    assert len(found.rows) == 2


def test_the_page_shows_history_as_chart_and_table(build, make_record):
    records = [make_record(minute=place, environment=at_commit(c)) for place, c in enumerate(("aaaa", "bbbb"))]
    section = build(records).model("rotary").one("section", class_="history")
    assert "2 records of 2 commits" in section.one("svg").one("desc").words
    links = [link.attributes["href"] for link in section.one("tbody").all("a")]
    assert links == [f"#record-{record.id}" for record in reversed(records)]


def test_every_record_can_be_downloaded_as_it_was_published(build, make_record, tmp_path):
    store = RecordStore(tmp_path / "records")
    records = [make_record(seed=seed) for seed in (1, 2)]
    for record in records:
        store.append(record)
    # What an older version wrote is handed on as it is.
    file = store.folder / f"{records[0].id}.json"
    file.write_text(file.read_text().replace('"zoo.record/5"', '"zoo.record/1"'))
    site = build(records, store=store.folder)
    slug = site.model_file("rotary").stem
    downloaded = json.loads((site.folder / "records" / f"{slug}.json").read_bytes())
    published = [json.loads((store.folder / f"{record.id}.json").read_bytes()) for record in reversed(records)]
    assert downloaded == published
    assert downloaded[1]["schema"] == "zoo.record/1"
    without = build(records, name="without")
    written = json.loads((without.folder / "records" / f"{slug}.json").read_bytes())
    assert [Record.model_validate(item) for item in written] == list(reversed(records))
