from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("duckdb")

from zoo.bench import Record, RecordStore
from zoo.bench.outputs import read_outputs
from zoo.bench.query import ask, views
from zoo.errors import InputError

Append = Callable[..., Record]


@pytest.fixture
def store(tmp_path: Path, append_sound_record: Append) -> Path:
    folder = tmp_path / "it's a store"
    append_sound_record(folder, seed=1)
    append_sound_record(folder, seed=2, text=False)
    append_sound_record(folder, seed=3, status="nan", error="step 3", quality=[], performance=[], outputs=None)
    return folder


def test_every_view_has_its_rows(store: Path) -> None:
    counts = {
        name: ask(store, f"SELECT count(*) FROM {name}").rows[0][0]
        for name in (
            "records",
            "quality",
            "performance",
            "throughput",
            "curve",
            "gradient_curve",
            "probes",
            "probe_curve",
            "probe_series",
            "examples",
        )
    }
    assert counts == {
        "records": 3,
        "quality": 4,
        "performance": 2,
        "throughput": 4,
        "curve": 9,
        "gradient_curve": 3,
        "probes": 3,
        "probe_curve": 9,
        "probe_series": 18,
        "examples": 10,
    }


def test_what_is_asked_is_what_the_records_say(store: Path) -> None:
    records = RecordStore(store).read().records
    answer = ask(
        store,
        "SELECT record, seed, metric, value, low, high, latency, memory_peak, json_extract_string(spec, '$.name') "
        "FROM records JOIN quality USING (record) JOIN performance USING (record) ORDER BY record, number",
    )
    expected = [
        (record.id, record.seed, score.metric, score.value, *(score.interval or ()), 0.3125, 10**9, "smoke")
        for record in records
        for score in record.quality
    ]
    assert list(answer.rows) == expected
    assert answer.problems == ()


def test_series_and_curves_of_probes_are_what_the_records_say(store: Path) -> None:
    sql = "SELECT series, line, place, x, label, value, axis, unit FROM probe_series JOIN records USING (record) "
    rows = ask(store, f"{sql} WHERE seed = 1 ORDER BY series, line, place").rows
    assert list(rows) == [
        ("mass.by_class", "raw", 0, None, "end", 0.5, "class", "share"),
        ("mass.by_class", "raw", 1, None, "word", 0.5, "class", "share"),
        ("shares.by_layer", "one", 0, 1.0, None, 0.25, "layer", "share"),
        ("shares.by_layer", "one", 1, 2.0, None, None, "layer", "share"),
        ("shares.by_layer", "two", 0, 1.0, None, 0.75, "layer", "share"),
        ("shares.by_layer", "two", 1, 2.0, None, 1.0, "layer", "share"),
    ]
    sql = "SELECT step, probe, value FROM probe_curve JOIN records USING (record) WHERE seed = 2 ORDER BY step, probe"
    assert list(ask(store, sql).rows) == [
        (0, "swap.difference", 0.0),
        (40, "swap.difference", 0.5),
        (40, "swap.loss", 5.0),
    ]


def test_gradients_of_parts_are_rows_by_part_and_measure(store: Path) -> None:
    sql = "SELECT step, part, measured, value, clipped_norm FROM gradient_curve JOIN curve USING (record, step)"
    assert list(ask(store, sql).rows) == [(20, "tokens 1-9", "norm", 0.25, 1.5)] * 3


def test_shares_of_clipped_updates_and_losses_of_averages_keep_their_columns(tmp_path: Path, make_record: Any) -> None:
    curve = [
        {"step": 20, "dev_loss": 4.0, "averaged_dev_loss": 3.5, "update_clipped_fraction": 0.25},
        {"step": 40, "loss": 3.0},
    ]
    RecordStore(tmp_path).append(make_record(curve=curve, training_tokens=1200))
    sql = "SELECT step, curve.dev_loss, averaged_dev_loss, update_clipped_fraction FROM curve ORDER BY step"
    assert list(ask(tmp_path, sql).rows) == [(20, 4.0, 3.5, 0.25), (40, None, None, None)]
    # The last development loss of a run is that of its averaged weights, where there are any.
    assert ask(tmp_path, "SELECT dev_loss, training_tokens FROM records").rows == ((3.5, 1200),)


def test_the_memory_of_training_is_in_its_devices_row(tmp_path: Path, make_record: Any) -> None:
    part = {
        "device": "cpu",
        "device_kind": "cpu",
        "threads": 1,
        "dtype": "float32",
        "attention": "sdpa",
        "training_steps_per_second": 12.5,
        "training_memory": {"kind": "rss", "peak": 500, "before": 400},
        "optimizer_state_bytes": 80,
    }
    RecordStore(tmp_path).append(make_record(performance=[part]))
    sql = (
        "SELECT training_steps_per_second, training_memory_kind, training_memory_peak, training_memory_before, "
        "training_memory_reserved, optimizer_state_bytes, latency FROM performance"
    )
    assert ask(tmp_path, sql).rows == ((12.5, "rss", 500, 400, None, 80, None),)


def test_examples_are_those_of_the_outputs(store: Path) -> None:
    records = RecordStore(store).read().records
    rows = ask(store, 'SELECT record, id, output, "score.chrf" FROM examples ORDER BY record, id').rows
    expected = []
    for record in records[:2]:
        outputs = read_outputs(store, record)
        texts = outputs.outputs or (None,) * len(outputs.ids)
        (chrf,) = [metric for metric in outputs.metrics if metric.metric == "chrf"]
        expected += [(record.id, *row) for row in zip(outputs.ids, texts, chrf.scores.tolist(), strict=True)]
    assert list(rows) == expected


def test_values_arrive_as_json_can_hold_them(store: Path) -> None:
    answer = ask(
        store,
        "SELECT created, spec, 1.5 AS tenths, sum(seed) OVER () AS total, 'nan'::DOUBLE AS nothing, "
        "[DATE '2026-11-23'] AS days, seed, seed FROM records LIMIT 1",
    )
    assert answer.columns == ("created", "spec", "tenths", "total", "nothing", "days", "seed", "seed_2")
    created, spec, *rest = answer.plain_rows()[0]
    assert created == "2026-11-23T00:00:00"
    assert spec["name"] == "smoke"
    assert rest == [1.5, 6, None, ["2026-11-23"], 1, 1]


def test_without_outputs_examples_are_an_empty_view(tmp_path: Path, make_record: Any) -> None:
    RecordStore(tmp_path).append(make_record())
    assert ask(tmp_path, "SELECT record, id, output FROM examples").rows == ()


def test_files_that_cannot_be_read_are_named_and_the_rest_is_answered(store: Path) -> None:
    (store / "half.json").write_text("{")
    first, second, _ = RecordStore(store).read().records
    (store / f"{first.id}.outputs.parquet").write_bytes(b"PAR1")
    answer = ask(store, "SELECT DISTINCT record FROM examples")
    assert answer.rows == ((second.id,),)
    assert {problem.path.name for problem in answer.problems} == {"half.json", f"{first.id}.outputs.parquet"}


def test_views_lists_every_column(store: Path) -> None:
    answer = views(store)
    assert {row[0] for row in answer.rows} == {
        "records",
        "quality",
        "performance",
        "throughput",
        "curve",
        "gradient_curve",
        "probes",
        "probe_curve",
        "probe_series",
        "examples",
    }
    for view in {row[0] for row in answer.rows}:
        columns = tuple(column for name, _, column, _ in answer.rows if name == view)
        assert ask(store, f"SELECT * FROM {view}").columns == columns


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT * FROM recods", "SQL: no view 'recods': did you mean 'records'?"),
        ("SELECT nme FROM records", 'Referenced column "nme" not found in FROM clause! Candidate bindings: "name"'),
        ("SELEC 1", 'syntax error at or near "SELEC"'),
        ("SELECT 'a'::INTEGER", "Could not convert string 'a' to INT32"),
        ("", "expected one SELECT (or FROM, DESCRIBE, SUMMARIZE), found nothing"),
        ("SELECT 1; SELECT 2", "found SELECT, SELECT"),
    ],
)
def test_a_mistake_is_one_line(store: Path, sql: str, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        ask(store, sql)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "sql",
    [
        "COPY records TO '{folder}/out.csv'",
        "EXPLAIN ANALYZE COPY records TO '{folder}/out.csv'",
        "EXPORT DATABASE '{folder}/out'",
        "ATTACH '{folder}/out.db'",
        "CREATE TABLE mine AS SELECT 1",
        "DELETE FROM records",
        "SET enable_external_access = true",
        "INSTALL httpfs",
        "LOAD httpfs",
        "PRAGMA enable_profiling = 'json'",
        "CALL pragma_version()",
    ],
)
def test_only_reading_is_possible(store: Path, tmp_path: Path, sql: str) -> None:
    before = sorted(os.listdir(store))
    with pytest.raises(InputError, match="expected one SELECT|Parser Error"):
        ask(store, sql.format(folder=tmp_path))
    assert sorted(os.listdir(tmp_path)) == [store.name]
    assert sorted(os.listdir(store)) == before


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_text('{secret}')",
        "SELECT * FROM read_csv('{secret}')",
        "SELECT * FROM '{secret}'",
        "SELECT * FROM glob('{folder}/*'), examples",
        "SELECT * FROM read_text('{secret}'), examples",
        "SELECT * FROM read_parquet('https://example.org/x.parquet')",
        "SELECT * FROM 'https://example.org/x.csv'",
    ],
)
def test_nothing_outside_the_store_can_be_read(store: Path, tmp_path: Path, sql: str) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("secret")
    with pytest.raises(InputError) as caught:
        ask(store, sql.format(secret=secret, folder=tmp_path))
    assert "disabled" in str(caught.value) or "no view" in str(caught.value)


def test_no_python_variable_is_a_table(store: Path) -> None:
    for name in ("connection", "reading", "problems", "rows", "incoming"):
        with pytest.raises(InputError, match="no view"):
            ask(store, f"SELECT * FROM {name}")


def test_a_folder_that_is_none_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder of records"):
        ask(tmp_path / "absent", "SELECT 1")


def test_a_long_question_ends_at_the_users_interrupt(store: Path) -> None:
    code = (
        "import os, signal, sys, threading\n"
        "from zoo.cli.main import main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "import zoo.bench.query as query\n"
        "answer = query._answer\n"
        "def soon(*arguments):\n"
        "    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "    return answer(*arguments)\n"
        "query._answer = soon\n"
        "sys.exit(main(['records', 'query', '--store', sys.argv[1],\n"
        "               'SELECT count(*) FROM range(1000000000000) t(i) WHERE i % 7 = 3']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(store)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr.strip()) == (130, "zoo: interrupted")
