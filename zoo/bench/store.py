"""A folder of records: one JSON file each, written whole or not at all, by any number of writers without a lock."""

from __future__ import annotations

import gc
import json
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from zoo.atomic import TEMPORARY_PREFIX, write_atomic
from zoo.bench.migration import migrated
from zoo.bench.record import SCHEMA, Record
from zoo.errors import InputError, visible

LARGEST_RECORD = 64 * 2**20
"""Bytes. A record is some tens of kilobytes; a larger file is not one of ours."""


def new_record_id(now: datetime | None = None) -> str:
    """A unique id that sorts by time: UTC to the microsecond, then 40 random bits."""
    moment = (now or datetime.now(UTC)).astimezone(UTC)
    return f"{moment:%Y%m%dT%H%M%S}.{moment.microsecond:06d}Z-{secrets.token_hex(5)}"


def record_text(record: Record) -> str:
    """The record as the file holds it. Raises ValueError where a value is NaN or infinite."""
    # Not pydantic's JSON mode: it would turn a NaN in free-form facts into null without a word.
    plain = record.model_dump(mode="python", by_alias=True)
    return json.dumps(plain, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


@dataclass(frozen=True)
class Problem:
    """A file in the store that is not a readable record."""

    path: Path
    message: str

    @property
    def place(self) -> str:
        """The path as text that can be shown and encoded, whatever bytes a stranger's file is called by."""
        return visible(str(self.path))

    def __str__(self) -> str:
        return f"{self.place}: {visible(self.message)}"


@dataclass(frozen=True)
class Reading:
    """What a store holds: every whole record, oldest first, and every file that is none."""

    records: tuple[Record, ...]
    problems: tuple[Problem, ...]
    older: tuple[Path, ...] = ()
    """Files of an older schema, which `zoo.bench.migration` has brought to today's; they are among the records."""


class RecordStore:
    """Records in one folder. `append` and `read` may run at once in any number of processes."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    def append(self, record: Record) -> Path:
        """Write one record under its id. Raises FileExistsError where the id is taken; never overwrites.

        A writer killed at any moment, or a full disk, leaves no file that `read` looks at.
        """
        path = self.folder / f"{record.id}.json"
        write_atomic(path, record_text(record), exclusive=True)
        return path

    def holds(self, record: str) -> bool:
        """Whether the record of that id is here."""
        return (self.folder / f"{record}.json").is_file()

    def one(self, record: str) -> Record:
        """The record of that id. Raises InputError, naming its file, where that is no whole record."""
        path = self.folder / f"{record}.json"
        try:
            return _read(path)[0]
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(_one_line(error), where=visible(str(path))) from error

    def read(self) -> Reading:
        """Every record, sorted by id. A file that is not a whole record is a Problem and stops no other.

        Raises InputError where the folder is not one; a folder that does not exist yet is empty.
        """
        records: list[Record] = []
        problems: list[Problem] = []
        older: list[Path] = []
        with _uncollected():
            for path in self._files():
                try:
                    record, is_older = _read(path)
                except FileNotFoundError:
                    continue
                except (OSError, ValueError, RecursionError) as error:
                    problems.append(Problem(path, _one_line(error)))
                else:
                    records.append(record)
                    if is_older:
                        older.append(path)
        return Reading(tuple(records), tuple(problems), tuple(older))

    def of_cell(self, key: str) -> list[Record]:
        """Every attempt at a cell, oldest first. Unreadable files are passed over: `read` names them."""
        # The key stands in the file as text: most files of a large store need no parsing.
        found = []
        for path in self._files():
            try:
                if key.encode() in _bytes(path):
                    record, _ = _read(path)
                    if record.cell == key:
                        found.append(record)
            except (OSError, ValueError, RecursionError):
                continue
        return found

    def finished(self, key: str) -> Record | None:
        """The newest attempt at a cell whose status is a result; infrastructure failures are none."""
        results = [record for record in self.of_cell(key) if record.status != "infra"]
        return results[-1] if results else None

    def _files(self) -> Iterator[Path]:
        if not self.folder.exists():
            return
        if not self.folder.is_dir():
            raise InputError("the record store is not a folder", where=str(self.folder))
        names = [
            name
            for name in os.listdir(self.folder)
            if name.endswith(".json") and not name.startswith((TEMPORARY_PREFIX, "."))
        ]
        for name in sorted(names):
            yield self.folder / name


@contextmanager
def _uncollected() -> Iterator[None]:
    """No search for cycles meanwhile: records have none, and looking for some takes twice as long as the reading."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def regular_bytes(path: Path, largest: int, told: str) -> bytes:
    """The content of a regular file of at most `largest` bytes: a pipe or device under its name must not hang a reader.

    Raises OSError, or ValueError for another kind of file or a larger one, with `told` between the two numbers.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise ValueError("not a regular file")
        if facts.st_size > largest:
            raise ValueError(f"{facts.st_size} bytes{told} {largest}")
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            return stream.read()
    finally:
        os.close(descriptor)


def _bytes(path: Path) -> bytes:
    return regular_bytes(path, LARGEST_RECORD, ": a record has at most")


def _read(path: Path) -> tuple[Record, bool]:
    """The record, and whether its file is of an older schema."""
    data = _bytes(path)
    try:
        record, older = Record.model_validate_json(data, strict=True), False
        if "schema_" not in record.model_fields_set:
            raise ValueError(f"no record: the key 'schema' is missing; expected {SCHEMA}")
    except ValidationError:
        # Only what is no record of today's schema is parsed a second time.
        document = _document(data)
        if document is None or (isinstance(document, dict) and document.get("schema") == SCHEMA):
            raise
        plain = json.dumps(migrated(document), allow_nan=False)
        record, older = Record.model_validate_json(plain, strict=True), True
    if record.id != path.name.removesuffix(".json"):
        raise ValueError(f"its id is '{record.id}', expected the file's name")
    return record, older


def _document(data: bytes) -> Any:
    """The JSON; None where it is none, or null."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _one_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(step) for step in first["loc"])
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        return re.sub(r"\s+", " ", f"{place}: {first['msg']}{more}" if place else f"{first['msg']}{more}")
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return re.sub(r"\s+", " ", str(error)) or type(error).__name__
