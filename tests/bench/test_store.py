from __future__ import annotations

import contextlib
import os
import random
import resource
import signal
import subprocess
import sys
import textwrap
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from zoo.bench import RecordStore, new_record_id, record_text
from zoo.errors import InputError

# A writer in a process of its own: says each id once its record is on disk.
WRITER = textwrap.dedent(
    """
    import sys
    from zoo.bench import Record, RecordStore, new_record_id
    store, count = RecordStore(sys.argv[1]), int(sys.argv[2])
    print("ready", flush=True)
    for number in range(count):
        record = Record(
            id=new_record_id(), created="2026-11-23", cell="c" * 64, name="n", task="t", status="ok", seed=number,
            spec={"filler": "x" * 20000}, spec_hash="h", data_revision="r", distributions={},
        )
        store.append(record)
        print(record.id, flush=True)
    """
)


def start_writer(folder: Path, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", WRITER, str(folder), str(count)], stdout=subprocess.PIPE, text=True)


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


def test_twenty_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    writers = [start_writer(tmp_path, 10) for _ in range(20)]
    said = {line.strip() for writer in writers for line in writer.communicate(timeout=120)[0].splitlines()}
    reading = RecordStore(tmp_path).read()
    assert reading.problems == ()
    assert {record.id for record in reading.records} == said - {"ready"}
    assert len(reading.records) == 200


def test_a_writer_killed_at_any_moment_leaves_only_whole_records(tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    chance = random.Random(7)
    said: set[str] = set()
    for _ in range(8):
        writer = start_writer(tmp_path, 10**6)
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        time.sleep(chance.uniform(0.0, 0.05))
        writer.send_signal(signal.SIGKILL)
        # A line is whole only with its end: the kill may have cut the last one.
        said |= {line.strip() for line in writer.stdout.read().splitlines(keepends=True) if line.endswith("\n")}
        writer.wait()
        reading = store.read()
        assert reading.problems == ()
        assert said <= {record.id for record in reading.records}
        assert all(record.spec["filler"] == "x" * 20000 for record in reading.records)
    assert said


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
        "other-schema.json": whole.replace("zoo.record/2", "zoo.record/9"),
        "misnamed.json": whole,
        "deep.json": "[" * 200_000,
        "nul.json": "\0" * 100,
    }
    for name, text in bad.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "latin.json").write_bytes(b'{"schema": "\xff\xfe"}')
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "dangling.json").symlink_to(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("not a record")
    reading = store.read()
    assert reading.records == tuple(good)
    assert {problem.path.name for problem in reading.problems} == {*bad, "latin.json", "pipe.json", "folder.json"}
    assert all("\n" not in str(problem) and problem.message for problem in reading.problems)
    assert store.of_cell("c" * 64) == good


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


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_full_disk_leaves_nothing_half_written_and_what_was_there_whole(tmp_path: Path, make_record: Any) -> None:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(tmp_path)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("this container may not mount")
    try:
        store = RecordStore(tmp_path)
        written = []
        with pytest.raises(OSError, match="No space left"):
            for _ in range(100):
                record = make_record(spec={"filler": "x" * 20_000})
                store.append(record)
                written.append(record)
        assert written
        reading = store.read()
        assert reading.records == tuple(written)
        assert reading.problems == ()
        assert set(os.listdir(tmp_path)) == {f"{record.id}.json" for record in written}
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            subprocess.run(["umount", str(tmp_path)], check=True)
