"""Files and folders are whole or absent."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from zoo.atomic import TEMPORARY_PREFIX, atomic_directory, exchanged, locked, sweep, swept, write_atomic


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f"
    write_atomic(path, "old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomic(path, "new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["f"]
    assert path.read_text() == "old"


def test_an_exclusive_write_never_replaces(tmp_path: Path) -> None:
    write_atomic(tmp_path / "f", b"first", exclusive=True)
    with pytest.raises(FileExistsError):
        write_atomic(tmp_path / "f", b"second", exclusive=True)
    assert (tmp_path / "f").read_bytes() == b"first"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with pytest.raises(RuntimeError), atomic_directory(target) as folder:
        (folder / "half").write_text("x")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with atomic_directory(target) as folder:
        (folder / "whole").write_text("1")
        (folder / "whole").chmod(0o600)
        assert not target.exists()
    assert (target / "whole").stat().st_mode & 0o777 == 0o644
    with atomic_directory(target) as folder:
        (folder / "newer").write_text("2")
    assert [entry.name for entry in target.iterdir()] == ["newer"]
    assert list(tmp_path.iterdir()) == [target]


def test_an_earlier_folder_is_never_away_while_it_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    if not exchanged(tmp_path / "one", tmp_path / "other"):
        pytest.skip("this file system has no exchange of names")
    target = tmp_path / "out"
    with atomic_directory(target) as folder:
        (folder / "earlier").touch()
    moved: list[object] = []
    monkeypatch.setattr(os, "replace", lambda *names: moved.append(names))
    with atomic_directory(target) as folder:
        (folder / "later").touch()
    assert moved == []  # as a name that is taken by another must be given up before
    assert [entry.name for entry in target.iterdir()] == ["later"]
    assert {entry.name for entry in tmp_path.iterdir()} == {"one", "other", "out"}


@pytest.mark.parametrize("can", [True, False], ids=["exchanged", "one after the other"])
def test_whatever_stands_at_a_folders_place_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can: bool
) -> None:
    if not can:
        monkeypatch.setattr("zoo.atomic.exchanged", lambda one, other: False)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "kept").touch()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    for name in ("file", "link"):
        with atomic_directory(tmp_path / name) as folder:
            (folder / "new").touch()
        assert not (tmp_path / name).is_symlink()
        assert [entry.name for entry in (tmp_path / name).iterdir()] == ["new"]
    assert {entry.name for entry in tmp_path.iterdir()} == {"file", "folder", "link"}
    assert (tmp_path / "folder" / "kept").is_file()


def test_who_writes_alone_sweeps_what_killed_writers_left(tmp_path: Path) -> None:
    left = tmp_path / f"{TEMPORARY_PREFIX}old"
    left.mkdir()
    with swept(tmp_path), atomic_directory(tmp_path / "one") as first:
        assert not left.exists()
        left.mkdir()
        with swept(tmp_path), atomic_directory(tmp_path / "two"):
            assert first.is_dir(), "of a writer at work"
            assert left.exists()
    with swept(tmp_path):
        assert not left.exists()
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["one", "two"]


WRITER = """
import sys
from pathlib import Path
from zoo.atomic import write_atomic
number = 0
while True:
    number += 1
    write_atomic(Path(sys.argv[1]) / "f", f"{number}:" + "x" * 200_000 + ":end")
"""


def test_a_writer_killed_at_any_moment_leaves_a_whole_file(tmp_path: Path) -> None:
    for delay in (0.00, 0.013, 0.029, 0.05, 0.08):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)])
        deadline = time.monotonic() + 20
        while not (tmp_path / "f").exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(delay)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        text = (tmp_path / "f").read_text()
        assert text.endswith(":end")
        assert len(text.partition(":")[2]) == 200_004
    sweep(tmp_path)
    assert not [entry for entry in tmp_path.iterdir() if entry.name.startswith(TEMPORARY_PREFIX)]


def test_a_lock_is_waited_for_and_a_killed_holder_gives_it_back(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from zoo.atomic import locked\n"
        "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with (tmp_path / "lock").open() as stream, pytest.raises(BlockingIOError):
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        holder.kill()
    with locked(tmp_path / "lock"):
        pass
