"""Copying records into a store that others read: without third-party text, host names and folders unless asked.

A published record has the id of the one it was made from, every number of it, and a note in its environment of what was
left out (`environment.published`). It is a whole record: `zoo records check` holds for it as for any other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from zoo.bench.outputs import SUFFIX, Outputs, outputs_file, read_outputs, write_outputs
from zoo.bench.record import Record
from zoo.bench.store import Problem, RecordStore
from zoo.errors import InputError, ZooError

_MACHINE_KEYS = frozenset({"host", "hostname", "node", "address", "user", "cwd", "home", "uuid"})
"""Facts of an environment that tell where the machine is and whose it is, not what it can do."""
_PROCESS_KEYS = _MACHINE_KEYS | {"name", "pid"}
"""Of processes that ran beside, their number and what they used matter, not what they were."""
_FOLDER = re.compile(
    r"(?:(?<![\w./])|(?<=file://))(?:/[^\s/'\"`,;:()\[\]{}<>]+){2,}/?|\b[A-Za-z]:\\[^\s'\"`,;()\[\]{}<>]+"
)
"""An absolute path of two steps or more; no web address, no fraction, no 'GNU/Linux'."""


@dataclass(frozen=True)
class Publication:
    """What `publish` did, in ids of records."""

    published: tuple[str, ...]
    present: tuple[str, ...]
    """Were there already, with the same content."""
    unfinished: tuple[str, ...]
    """Attempts that the machine failed ('infra'): no results."""
    problems: tuple[Problem, ...]
    """Records that were not published, and why."""
    warnings: tuple[Problem, ...]


def publish(
    source: Path | str, target: Path | str, *, with_text: bool = False, check: Callable[[Record], Iterator[str]]
) -> Publication:
    """Copy every finished record of the store `source`, with its outputs, into the store `target`.

    What is there is never written over: a record whose id is taken by other content is a problem, as is one of which
    `check` finds something wrong. Killed at any moment, the next call finishes. Raises InputError where `source` is no
    store or is `target`, or where `target` is a file.
    """
    source, target = Path(source), Path(target)
    if not source.is_dir():
        raise InputError("no such folder of records", where=str(source))
    if target.exists() and not target.is_dir():
        raise InputError("expected a folder, found a file", where=str(target))
    if target.exists() and source.samefile(target):
        raise InputError("a store cannot be published into itself", where=str(target))
    reading = RecordStore(source).read()
    published: list[str] = []
    present: list[str] = []
    unfinished: list[str] = []
    problems, warnings = list(reading.problems), []
    for record in reading.records:
        path = source / f"{record.id}.json"
        if record.status == "infra":
            unfinished.append(record.id)
            continue
        wrong = next(check(record), None)
        if wrong is not None:
            problems.append(Problem(path, wrong))
            continue
        try:
            is_new = _publish(record, source, target, with_text)
        except (ZooError, FileExistsError) as error:
            problems.append(Problem(path, str(error)))
            continue
        (published if is_new else present).append(record.id)
        warnings += [Problem(path, f"the spec names '{text}': published as it is") for text in _folders(record.spec)]
    return Publication(tuple(published), tuple(present), tuple(unfinished), tuple(problems), tuple(warnings))


def names_the_machine(record: Record) -> bool:
    """Whether a record tells the name of its machine, or folders on it."""
    return bool(_without_machine(record)[1])


def publishable(record: Record, *, with_text: bool) -> Record:
    """The record as others may see it, its outputs aside: `publish` says what they become."""
    record, left_out = _without_machine(record)
    if not with_text:
        if record.samples:
            left_out.append("samples")
        if record.outputs is not None and record.outputs.text:
            left_out.append("outputs.text")
        record = record.model_copy(update={"samples": []})
    before = record.environment.get("published")
    earlier = before.get("left_out", []) if isinstance(before, dict) else []
    note = {"left_out": sorted({*map(str, earlier), *left_out})}
    return record.model_copy(update={"environment": {**record.environment, "published": note}})


def _publish(record: Record, source: Path, target: Path, with_text: bool) -> bool:
    """Whether the record is new in `target`. Raises ZooError, FileExistsError."""
    store = RecordStore(target)
    shown = publishable(record, with_text=with_text)
    outputs = None
    if record.outputs is not None:
        outputs = read_outputs(source, record)
        if not with_text:
            outputs = replace(outputs, sources=None, references=None, outputs=None)
    if (target / f"{record.id}.json").exists():
        if not _is_there(store, shown, outputs):
            raise FileExistsError(f"{target} has a record of this id with other content; records are never changed")
        return False
    if outputs is not None:
        # A file without its record is what a killed call left: it may be replaced.
        path = target / f"{record.id}{SUFFIX}"
        write_outputs(path, outputs)
        shown = shown.model_copy(update={"outputs": outputs_file(path)})
    store.append(shown)
    return True


def _is_there(store: RecordStore, shown: Record, outputs: Outputs | None) -> bool:
    """Whether the store holds this record. Another version of Parquet writes the same table in other bytes."""
    found = [record for record in store.of_cell(shown.cell) if record.id == shown.id]
    if not found or _numbers(found[0]) != _numbers(shown) or (found[0].outputs is None) != (outputs is None):
        return False
    return outputs is None or _same(read_outputs(store.folder, found[0]), outputs)


def _numbers(record: Record) -> Record:
    return record.model_copy(update={"outputs": None})


def _same(one: Outputs, other: Outputs) -> bool:
    def facts(outputs: Outputs) -> tuple[Any, ...]:
        named = [(part.metric, part.signature, part.component) for part in outputs.metrics]
        texts = (outputs.sources, outputs.references, outputs.outputs)
        return outputs.split, outputs.data_revision, outputs.ids, texts, named

    return facts(one) == facts(other) and all(
        np.array_equal(np.concatenate(a.items), np.concatenate(b.items))
        and np.array_equal(a.scores, b.scores, equal_nan=True)
        for a, b in zip(one.metrics, other.metrics, strict=True)
    )


def _without_machine(record: Record) -> tuple[Record, list[str]]:
    """The record without what tells of its machine's name and folders, and what that was."""
    host = record.environment.get("host")
    name = re.compile(rf"\b{re.escape(host)}\b") if isinstance(host, str) and len(host) > 2 else None
    left_out: list[str] = []

    def text(value: str, place: str) -> str:
        clean = _FOLDER.sub(_last_step, value)
        if name is not None:
            clean = name.sub("(host)", clean)
        if clean != value:
            left_out.append(place)
        return clean

    def cleaned(value: Any, place: str) -> Any:
        if isinstance(value, str):
            return text(value, place)
        if isinstance(value, list):
            return [cleaned(item, place) for item in value]
        if isinstance(value, dict):
            hidden = _PROCESS_KEYS if place.endswith(".other_processes") else _MACHINE_KEYS
            gone = [key for key in value if key in hidden]
            left_out.extend(f"{place}.{key}" for key in gone)
            return {key: cleaned(item, f"{place}.{key}") for key, item in value.items() if key not in gone}
        return value

    environment = {key: value for key, value in record.environment.items() if key != "published"}
    clean = cleaned(environment, "environment")
    if "published" in record.environment:
        clean["published"] = record.environment["published"]
    error = None if record.error is None else text(record.error, "error")
    return record.model_copy(update={"environment": clean, "error": error}), left_out


def _last_step(match: re.Match[str]) -> str:
    return ".../" + re.split(r"[/\\]", match[0].rstrip("/\\"))[-1]


def _folders(value: Any) -> list[str]:
    """Absolute paths in a spec, which is not changed: its hash is in the cell's key."""
    if isinstance(value, str):
        return [match[0] for match in _FOLDER.finditer(value)]
    if isinstance(value, dict):
        return [path for item in value.values() for path in _folders(item)]
    if isinstance(value, list):
        return [path for item in value for path in _folders(item)]
    return []
