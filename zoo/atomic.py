"""Files and folders that are whole or absent, whatever kills the writer."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

TEMPORARY_PREFIX = ".tmp-"
"""Readers skip names with this prefix; `sweep` removes them."""
_SYNCS_AT_ONCE = 8
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
"""Of Linux's fcntl.h and stdio.h: paths are relative to the working directory; both names stay."""


def fsync_directory(path: Path) -> None:
    """Make a rename inside `path` survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomic(path: Path, data: bytes | str, *, exclusive: bool = False) -> None:
    """Write to a temporary name, fsync, rename. With `exclusive`, an existing `path` is left alone: FileExistsError.

    An OSError names `path`, which the system's own does not where a disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data.encode() if isinstance(data, str) else data)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(name, 0o644)
        if exclusive:
            os.link(name, path)
            os.unlink(name)
        else:
            os.replace(name, path)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    fsync_directory(path.parent)


def _settle(file: Path) -> None:
    os.chmod(file, 0o644)  # some writers make private files
    with file.open("rb") as stream:
        os.fsync(stream.fileno())


@contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Yield a temporary folder that becomes `path` when the block ends well; a folder already at `path` is replaced.

    Whoever looks there meanwhile finds the one or the other, where the system can do that (`exchanged`).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX, dir=path.parent))
    try:
        yield temporary
        os.chmod(temporary, 0o755)
        # A journal takes many files in one go: waiting for them one by one takes twenty times as long.
        with ThreadPoolExecutor(_SYNCS_AT_ONCE) as pool:
            list(pool.map(_settle, (file for file in temporary.rglob("*") if file.is_file())))
        if not path.exists():
            os.replace(temporary, path)
        elif exchanged(temporary, path):
            _remove(temporary)
        else:
            # For a moment there is nothing at `path`: who is killed then leaves the earlier one in `old`.
            old = Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX, dir=path.parent))
            os.replace(path, old / "replaced")
            os.replace(temporary, path)
            shutil.rmtree(old)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    fsync_directory(path.parent)


def exchanged(one: Path, other: Path) -> bool:
    """Whether two files or folders have swapped their names, at one stroke. False where the system cannot do that:
    Linux can, on most file systems (renameat2(2))."""
    import ctypes  # here, as most commands write no folder

    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:
        return False
    if rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in {errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP}:
        return False
    raise OSError(number, os.strerror(number), str(other))


def _remove(entry: Path) -> None:
    shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()


def sweep(folder: Path) -> list[Path]:
    """Remove what killed writers left in `folder`; return what was removed. Call only where no writer is at work."""
    removed = list(folder.glob(TEMPORARY_PREFIX + "*")) if folder.is_dir() else []
    for entry in removed:
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink(missing_ok=True)
    return removed


@contextmanager
def swept(folder: Path) -> Iterator[None]:
    """Write in `folder` within this block, beside others that do so; what killed ones left is removed on entering.

    Every writer holds a shared lock; who can have it alone knows that no other is at work.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / ".writers.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass  # another one writes: the next to come alone sweeps
        else:
            sweep(folder)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def locked(path: Path, patience: float | None = None) -> Iterator[int]:
    """Wait for the advisory lock on the file `path`, hold it, and yield its descriptor.

    A child that inherits the descriptor holds the lock too; the system takes it back when the last holder is gone,
    however it ended. Raises TimeoutError after `patience` seconds; without it the wait has no end.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if patience is None:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        else:
            _lock_within(descriptor, patience)
        yield descriptor
    finally:
        os.close(descriptor)


def _lock_within(descriptor: int, patience: float) -> None:
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise TimeoutError from None
            time.sleep(0.1)
        else:
            return
