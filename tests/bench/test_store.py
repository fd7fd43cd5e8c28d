from __future__ import annotations

import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from zoo.atomic import sweep
from zoo.bench import RecordStore, new_record_id, record_text
from zoo.bench.outputs import is_whole
from zoo.bench.soundness import check_store
from zoo.bench.store import LARGEST_RECORD
from zoo.cli.main import main
from zoo.errors import InputError

# Writers in processes of their own, forked from one that has imported everything: each says an id on its own pipe once
# that record is on disk, its outputs beside it.
PRELUDE = textwrap.dedent(
    """
    import os, random, signal, sys, time
    from pathlib import Path
    import numpy as np
    from zoo.bench import Record, RecordStore, new_record_id
    from zoo.bench.outputs import MetricOutputs, Outputs, outputs_file, write_outputs
    store = RecordStore(sys.argv[1])
    component = {"use": "nowhere/m"}
    metric = MetricOutputs("m", "s", "higher", "points", component, (np.ones(3),) * 50, np.ones(50))
    quality = {"metric": "m", "value": 1.0, "direction": "higher", "unit": "points", "signature": "s"}

    def write(number):
        name, ids = new_record_id(), tuple(map(str, range(50)))
        path = store.folder / f"{name}.outputs.parquet"
        write_outputs(path, Outputs("test", "r", ids, ids, ids, ids, (metric,), name))
        store.append(Record(
            id=name, created="2026-11-23", cell="c" * 64, name="n", task="t", status="ok", seed=number,
            spec={"name": "n", "seed": number, "filler": "x" * 20000}, spec_hash="sha256:" + "c" * 64,
            data_revision="r", distributions={}, outputs=outputs_file(path),
            quality=[{**quality, "split": "test", "examples": 50}],
        ))
        return name

    def forked(work):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            work(lambda name: os.write(writing, f"{name}\\n".encode()))
            os._exit(0)
        os.close(writing)
        return child, os.fdopen(reading)
    """
)
MANY = PRELUDE + textwrap.dedent(
    """
    def work(say):
        for number in range(int(sys.argv[3])):
            say(write(number))
    writers = [forked(work) for _ in range(int(sys.argv[2]))]
    for child, said in writers:
        print(said.read(), end="")
        assert os.waitpid(child, 0)[1] == 0
    """
)
KILLED = PRELUDE + textwrap.dedent(
    """
    def work(say):
        while True:
            say(write(0))
    chance = random.Random(7)
    for _ in range(int(sys.argv[2])):
        child, said = forked(work)
        first = said.readline()
        time.sleep(chance.uniform(0.0, 0.02))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        # A line is whole only with its end: the kill may have cut the last one.
        print(first + "".join(line for line in said if line.endswith("\\n")), end="", flush=True)
    """
)


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_records_come_back_in_the_order_of_their_times(tmp_path: Path, make_record: Any) -> None:
    start = datetime(2026, 11, 23, tzinfo=UTC)
    ids = [new_record_id(start + timedelta(milliseconds=7 * step)) for step in range(5)]
    store = RecordStore(tmp_path)
    for name in random.Random(1).sample(ids, len(ids)):
        store.append(make_record(id=name))
    assert [record.id for record in store.read().records] == ids


def test_ids_made_at_the_same_moment_differ() -> None:
    moment = datetime(2026, 11, 23, tzinfo=UTC)
    assert len({new_record_id(moment) for _ in range(1000)}) == 1000


def test_a_store_that_is_not_there_yet_is_empty(tmp_path: Path) -> None:
    reading = RecordStore(tmp_path / "absent").read()
    assert reading.records == ()
    assert reading.problems == ()


def test_a_store_that_is_a_file_is_the_users_mistake(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("")
    with pytest.raises(InputError, match="not a folder"):
        RecordStore(tmp_path / "store").read()


def test_an_id_that_is_taken_is_never_overwritten(tmp_path: Path, make_record: Any) -> None:
    store = RecordStore(tmp_path)
    first = make_record(seed=1)
    store.append(first)
    with pytest.raises(FileExistsError):
        store.append(make_record(id=first.id, seed=2))
    assert store.read().records == (first,)
    assert len(os.listdir(tmp_path)) == 1


@pytest.mark.slow
def test_fifty_writers_at_once_lose_nothing_and_a_reader_sees_only_whole_records(tmp_path: Path) -> None:
    writers = start(MANY, tmp_path, 50, 4)
    readings = []
    while writers.poll() is None:
        readings.append(RecordStore(tmp_path).read())
    assert writers.stdout is not None
    said = writers.stdout.read().split()
    assert writers.returncode == 0
    assert len(set(said)) == 200
    assert len({len(reading.records) for reading in readings}) > 1, "the reader saw none of the writing"
    for reading in [*readings, RecordStore(tmp_path).read()]:
        assert reading.problems == ()
        for record in reading.records:
            assert record.spec["filler"] == "x" * 20000
            assert is_whole(tmp_path / f"{record.id}.outputs.parquet", record.outputs)
    assert [record.id for record in reading.records] == sorted(said)


@pytest.mark.slow
def test_a_writer_killed_at_any_moment_leaves_only_whole_records_with_their_outputs(tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    killer = start(KILLED, tmp_path, 30)
    said = set(killer.communicate(timeout=300)[0].split())
    assert killer.returncode == 0
    assert len(said) >= 30
    reading = store.read()
    assert reading.problems == ()
    assert said <= {record.id for record in reading.records}
    assert all(record.spec["filler"] == "x" * 20000 for record in reading.records)
    report = check_store(tmp_path)
    # These made-up records have made-up keys and metrics; what is said of their files is what counts.
    assert [problem for problem in report.problems if problem.path.suffix != ".json"] == []
    assert report.outputs == report.records == len(reading.records)
    assert {warning.message.partition(":")[0] for warning in report.warnings} <= {
        f"{report.records} scores were not computed again",
        "left by a writer that was killed, or is at work",
        "outputs without their record",
    }
    sweep(tmp_path)
    assert not list(tmp_path.glob(".tmp-*"))


def test_what_a_killed_writer_left_is_not_read(tmp_path: Path, make_record: Any) -> None:
    store = RecordStore(tmp_path)
    record = make_record()
    store.append(record)
    whole = record_text(make_record())
    (tmp_path / ".tmp-abc.json").write_text(whole)
    (tmp_path / ".tmp-abc").write_text(whole[: len(whole) // 2])
    reading = store.read()
    assert reading.records == (record,)
    assert reading.problems == ()


def test_an_unreadable_file_is_named_and_the_rest_is_served(tmp_path: Path, make_record: Any) -> None:
    store = RecordStore(tmp_path)
    good = [make_record() for _ in range(3)]
    for record in good:
        store.append(record)
    whole = record_text(make_record(id="anotherid"))
    bad = {
        "half.json": whole[: len(whole) // 2],
        "empty.json": "",
        "array.json": "[]",
        "other-schema.json": whole.replace("zoo.record/5", "zoo.record/9"),
        "misnamed.json": whole,
        "deep.json": "[" * 200_000,
        "nul.json": "\0" * 100,
    }
    for name, text in bad.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "latin.json").write_bytes(b'{"schema": "\xff\xfe"}')
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "device.json").symlink_to("/dev/zero")
    (tmp_path / "loop.json").symlink_to("loop.json")
    (tmp_path / "huge.json").touch()
    os.truncate(tmp_path / "huge.json", LARGEST_RECORD + 1)
    # Reading the first page of one's own memory is the input/output error that a broken disk gives.
    (tmp_path / "broken.json").symlink_to("/proc/self/mem")
    (tmp_path / os.fsdecode(b"\xff\x1b\n.json")).write_text("[]")
    (tmp_path / "dangling.json").symlink_to(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("not a record")
    reading = store.read()
    assert reading.records == tuple(good)
    special = {"latin.json", "pipe.json", "folder.json", "device.json", "loop.json", "huge.json", "broken.json"}
    assert {problem.path.name for problem in reading.problems} == {*bad, *special, os.fsdecode(b"\xff\x1b\n.json")}
    said = {problem.path.name: problem.message for problem in reading.problems}
    assert said["broken.json"] == "Input/output error"
    assert said["device.json"] == said["pipe.json"] == said["folder.json"] == "not a regular file"
    assert said["huge.json"] == f"{LARGEST_RECORD + 1} bytes: a record has at most {LARGEST_RECORD}"
    for problem in reading.problems:
        assert problem.message
        assert str(problem).isprintable()
        str(problem).encode()
    assert store.of_cell("c" * 64) == good


def test_a_file_that_may_not_be_read_is_named_and_the_rest_is_served(make_record: Any) -> None:
    # Not in pytest's own folder, which only its owner may enter.
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        store, kept = RecordStore(folder), make_record()
        store.append(kept)
        secret = store.append(make_record())
        secret.chmod(0o000)
        was = os.geteuid()
        if was == 0:
            os.seteuid(65534)  # to root, no file is closed
        try:
            reading = store.read()
        finally:
            os.seteuid(was)
    assert reading.records == (kept,)
    assert [str(problem) for problem in reading.problems] == [f"{secret}: Permission denied"]


def test_only_a_result_ends_a_cell(tmp_path: Path, make_record: Any) -> None:
    store = RecordStore(tmp_path)
    assert store.finished("c" * 64) is None
    store.append(make_record(status="infra", error="disk gone"))
    assert store.finished("c" * 64) is None
    failed = make_record(status="nan", error="step 3")
    store.append(failed)
    assert store.finished("c" * 64) == failed
    assert store.finished("d" * 64) is None


def test_a_write_that_fails_half_way_leaves_nothing(tmp_path: Path, make_record: Any) -> None:
    store = RecordStore(tmp_path)
    kept = make_record()
    store.append(kept)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The kernel stops the write part-way, as a quota does; Python ignores the signal and gets EFBIG.
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            store.append(make_record(spec={"filler": "x" * 10_000}))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert store.read().records == (kept,)
    assert os.listdir(tmp_path) == [f"{kept.id}.json"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("this container may not mount")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_leaves_nothing_half_written_and_what_was_there_whole(small_disk: Path, make_record: Any) -> None:
    store = RecordStore(small_disk)
    written = []
    with pytest.raises(OSError, match="No space left on device: '.*json'"):
        for _ in range(100):
            record = make_record(spec={"filler": "x" * 20_000})
            store.append(record)
            written.append(record)
    assert written
    reading = store.read()
    assert reading.records == tuple(written)
    assert reading.problems == ()
    assert set(os.listdir(small_disk)) == {f"{record.id}.json" for record in written}


def test_publishing_to_a_full_disk_is_one_clear_line_and_what_came_through_is_whole(
    small_disk: Path, tmp_path: Path, append_sound_record: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in range(12):
        append_sound_record(tmp_path / "own", seed=seed, environment={"filler": "x" * 30_000})
    assert main(["records", "publish", str(tmp_path / "own"), str(small_disk)]) == 1
    err = capsys.readouterr().err
    assert re.fullmatch(rf"zoo: {re.escape(str(small_disk))}/\S+: No space left on device\n", err)
    report = check_store(small_disk)
    assert report.problems == ()
    assert 0 < report.records < 12
    assert not [name for name in os.listdir(small_disk) if name.startswith(".tmp-")]
