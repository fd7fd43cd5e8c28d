"""A store of ten thousand records: read at the speed of its JSON, questions answered in seconds."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.bench.query import ask
from zoo.bench.store import RecordStore

RECORDS, FEW = 10_000, 300
STEEPEST = 3.0
"""Reading records, validation included, in units of reading and parsing their JSON and dropping it."""
SECONDS = 20.0
"""Processor time of a question about all of `RECORDS` records, the reading of the store included."""
QUESTIONS = {
    "scores": "SELECT name, avg(value) FROM quality JOIN records USING (record) GROUP BY name ORDER BY 2 DESC",
    "curves": "SELECT record, min(loss) FROM curve GROUP BY record ORDER BY 2 LIMIT 10",
    "examples": 'SELECT record, avg("score.bleu") FROM examples GROUP BY record ORDER BY 2 DESC LIMIT 10',
}


def test_reading_records_takes_no_longer_than_three_times_the_parsing_of_their_json(
    tmp_path: Path, write_store: Callable[..., Path], request: pytest.FixtureRequest
) -> None:
    measured = request.config.getoption("benchmark")
    store = write_store(tmp_path / "records", RECORDS if measured else FEW)
    paths = sorted(store.glob("*.json"))
    start = time.process_time()
    for path in paths:
        json.loads(path.read_bytes())
    parsing = time.process_time() - start
    start = time.process_time()
    reading = RecordStore(store).read()
    seconds = time.process_time() - start
    assert reading.problems == ()
    assert len(reading.records) == len(paths)
    speed, times = f"{len(paths) / seconds:,.0f} a second", f"{seconds / parsing:.2f} times the parsing of their JSON"
    print(f"\n{len(paths)} records: {speed}, {times}")
    if measured:
        assert seconds < STEEPEST * parsing


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_is_answered_in_seconds(
    tmp_path_factory: pytest.TempPathFactory,
    write_store: Callable[..., Path],
    request: pytest.FixtureRequest,
    question: str,
) -> None:
    pytest.importorskip("duckdb")
    measured = request.config.getoption("benchmark")
    store = tmp_path_factory.getbasetemp() / "questions"
    if not store.exists():
        write_store(store, RECORDS if measured else FEW)
    start = time.process_time()
    answer = ask(store, QUESTIONS[question])
    seconds = time.process_time() - start
    assert answer.rows
    assert answer.problems == ()
    print(f"\n{question}: {seconds:.2f} s")
    if measured:
        assert seconds < SECONDS
