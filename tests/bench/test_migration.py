from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from zoo.bench import SCHEMA, Record, RecordStore, record_text
from zoo.bench.migration import STEPS, from_1_to_2, from_2_to_3, from_3_to_4, migrated

# A record as the first schema had it, written out: no code of today made it.
FIRST: dict[str, Any] = {
    "schema": "zoo.record/1",
    "id": "20260301T120000.000000Z-0123456789",
    "created": "2026-03-01T12:00:00.000+00:00",
    "cell": "c" * 64,
    "name": "rotary",
    "role": "model",
    "task": "office-zh-en",
    "status": "ok",
    "error": None,
    "seed": 1,
    "spec": {"name": "rotary", "seed": 1},
    "spec_hash": "sha256:0",
    "data_revision": "sha256:1",
    "distributions": {"zoo-registry": "0.1.0"},
    "parameters": 1000,
    "steps": 1200,
    "training_seconds": 12.5,
    "quality": [
        {
            "metric": "bleu",
            "value": 31.5,
            "direction": "higher",
            "unit": "points",
            "signature": "s",
            "split": "test",
            "examples": 9,
            "interval": [30.0, 33.0],
        }
    ],
    "performance": [
        {
            "device": "cpu",
            "device_kind": "cpu",
            "threads": 2,
            "dtype": "float32",
            "attention": "sdpa",
            "latency": {
                "unit": "s",
                "samples": 2,
                "median": 0.1875,
                "minimum": 0.125,
                "maximum": 0.25,
                "p90": None,
                "p99": None,
                "values": [0.25, 0.125],
            },
            "tokens_per_second": 812.5,
            "throughput_batch": 16,
            "peak_memory_bytes": 420_000_000,
            "memory_kind": "rss",
            "training_tokens_per_second": 5000.0,
        }
    ],
    "probes": {"distinct_output_ratio": 0.5},
    "curve": [
        {
            "step": 20,
            "loss": 5.5,
            "dev_loss": None,
            "learning_rate": 0.001,
            "gradient_norm": 1.0,
            "clipped_fraction": None,
        }
    ],
    "samples": [{"id": "1", "source": "a", "reference": "b", "output": "c"}],
    "environment": {"cpu": "Some CPU"},
    "attempt": 1,
}


KNOWN = "zoo.record/1 or zoo.record/2 or zoo.record/3 or zoo.record/4 or zoo.record/5"
NOTHING_ON_CLIPPING: dict[str, Any] = {"clipped_norm": None, "update_clipped_fraction": None, "gradients": {}}


def write(folder: Path, document: Any, name: str = FIRST["id"]) -> Path:
    path = folder / f"{name}.json"
    path.write_text(json.dumps(document))
    return path


def test_a_record_of_the_first_schema_is_read_as_todays_and_its_file_left_alone(tmp_path: Path) -> None:
    path = write(tmp_path, FIRST)
    before = path.read_bytes(), path.stat().st_mtime_ns
    reading = RecordStore(tmp_path).read()
    assert reading.problems == ()
    assert reading.older == (path,)
    (record,) = reading.records
    (part,) = record.performance
    (rate,) = part.throughput
    assert (rate.batch, rate.status, rate.tokens_per_second) == (16, "ok", 812.5)
    assert part.memory is not None
    assert (part.memory.kind, part.memory.peak, part.memory.after_load) == ("rss", 420_000_000, None)
    assert part.latency is not None
    assert part.latency.values == [0.25, 0.125]
    assert part.training_tokens_per_second == 5000.0
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_everything_else_of_an_older_record_is_as_it_was(tmp_path: Path) -> None:
    write(tmp_path, FIRST)
    (record,) = RecordStore(tmp_path).read().records
    now = json.loads(record_text(record))
    for key in FIRST.keys() - {"schema", "performance", "curve"}:
        assert now[key] == FIRST[key], key
    assert now["curve"] == [{**FIRST["curve"][0], "probes": {}, **NOTHING_ON_CLIPPING}]


def test_an_older_record_ends_its_cell(tmp_path: Path) -> None:
    write(tmp_path, FIRST)
    finished = RecordStore(tmp_path).finished("c" * 64)
    assert finished is not None
    assert finished.id == FIRST["id"]


def test_a_step_changes_nothing_of_what_it_is_given() -> None:
    before = json.dumps(FIRST)
    from_2_to_3(from_1_to_2(FIRST))
    assert json.dumps(FIRST) == before


def test_a_record_of_the_second_schema_has_no_series_and_keeps_everything(tmp_path: Path) -> None:
    second = from_1_to_2(FIRST)
    assert second["schema"] == "zoo.record/2"
    path = write(tmp_path, second)
    reading = RecordStore(tmp_path).read()
    assert reading.older == (path,)
    (record,) = reading.records
    assert record.probe_series == {}
    assert [point.probes for point in record.curve] == [{}]
    now = json.loads(record_text(record))
    for key in second.keys() - {"schema", "performance", "curve"}:
        assert now[key] == second[key], key
    assert now["curve"] == [{**second["curve"][0], "probes": {}, **NOTHING_ON_CLIPPING}]


def test_a_record_of_the_third_schema_tells_nothing_of_parts_of_gradients(tmp_path: Path) -> None:
    third = from_2_to_3(from_1_to_2(FIRST))
    assert third["schema"] == "zoo.record/3"
    path = write(tmp_path, third)
    reading = RecordStore(tmp_path).read()
    assert reading.older == (path,)
    now = json.loads(record_text(reading.records[0]))
    assert now["curve"] == [{**third["curve"][0], "probes": {}, **NOTHING_ON_CLIPPING}]


def test_a_record_of_the_fourth_schema_tells_nothing_of_trainings_memory_and_tokens(tmp_path: Path) -> None:
    fourth = from_3_to_4(from_2_to_3(from_1_to_2(FIRST)))
    assert fourth["schema"] == "zoo.record/4"
    path = write(tmp_path, fourth)
    reading = RecordStore(tmp_path).read()
    assert reading.older == (path,)
    now = json.loads(record_text(reading.records[0]))
    assert now["training_tokens"] is None
    (part,) = now["performance"]
    assert (part["training_memory"], part["training_steps_per_second"]) == (None, None)
    assert part["training_tokens_per_second"] == 5000.0


def test_every_known_schema_leads_to_todays() -> None:
    assert SCHEMA not in STEPS
    for schema in STEPS:
        assert migrated({**FIRST, "schema": schema})["schema"] == SCHEMA


def test_todays_record_is_what_it_is(make_record: Any) -> None:
    document = json.loads(record_text(make_record()))
    assert migrated(document) == document


@pytest.mark.parametrize(
    ("part", "throughput", "memory"),
    [
        ({}, [], None),
        ({"tokens_per_second": None, "throughput_batch": 16}, [], None),
        ({"tokens_per_second": 5.0, "throughput_batch": None}, [], None),
        ({"peak_memory_bytes": 7, "memory_kind": None}, [], ("unknown", 7)),
        ({"peak_memory_bytes": None, "memory_kind": "rss"}, [], None),
    ],
)
def test_what_the_first_schema_left_open_stays_open(
    tmp_path: Path, part: dict[str, Any], throughput: list[Any], memory: tuple[str, int] | None
) -> None:
    bare = {"device": "cpu", "device_kind": "cpu", "threads": 1, "dtype": "float32", "attention": "sdpa"}
    write(tmp_path, {**FIRST, "performance": [{**bare, **part}]})
    (record,) = RecordStore(tmp_path).read().records
    found = record.performance[0]
    assert found.throughput == throughput
    assert (None if found.memory is None else (found.memory.kind, found.memory.peak)) == memory


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({**FIRST, "schema": "zoo.record/6"}, "schema 'zoo.record/6' is newer than this version of zoo"),
        ({**FIRST, "schema": "zoo.record/10"}, "update zoo"),
        (
            {**FIRST, "schema": "inspect.log/1"},
            f"schema 'inspect.log/1': expected {KNOWN}",
        ),
        (
            {**FIRST, "schema": 2},
            f"schema 2: expected {KNOWN}",
        ),
        (
            {"name": "x"},
            f"the key 'schema' is missing; expected {KNOWN}",
        ),
        ([FIRST], "expected a JSON object with the key 'schema', found list"),
        ({**FIRST, "performance": "fast"}, "performance: Input should be a valid array"),
        ({**FIRST, "performance": ["fast"]}, "performance.0: Input should be an object"),
        ({**FIRST, "quality": [{}]}, "quality.0.metric: Field required"),
        ({**FIRST, "invented": 1}, "invented: Extra inputs are not permitted"),
    ],
)
def test_what_cannot_be_read_says_why_and_stops_nothing(tmp_path: Path, document: Any, expected: str) -> None:
    path = write(tmp_path, document)
    good = write(tmp_path, {**FIRST, "id": "another-record"}, "another-record")
    reading = RecordStore(tmp_path).read()
    assert [record.id for record in reading.records] == ["another-record"]
    assert reading.older == (good,)
    (problem,) = reading.problems
    assert problem.path == path
    assert expected in problem.message


def test_the_first_schema_is_not_todays() -> None:
    with pytest.raises(ValueError, match="schema"):
        Record.model_validate(FIRST)
