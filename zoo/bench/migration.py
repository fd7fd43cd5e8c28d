"""Older schemas of records, read as today's. A file is never rewritten: its migration happens at every reading.

A step turns the plain JSON of one schema into that of the next, without looking at anything else. Steps are chained,
so that a new schema needs one new step. Whether the result is a record is for `zoo.bench.record` to say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from zoo.bench.record import SCHEMA

Document = dict[str, Any]


def from_1_to_2(document: Mapping[str, Any]) -> Document:
    """Throughput is a list by batch size, and memory a part of its own that tells more than a peak."""
    performance = document.get("performance")
    if not isinstance(performance, list):
        return {**document, "schema": "zoo.record/2"}
    return {**document, "schema": "zoo.record/2", "performance": [_performance_2(part) for part in performance]}


def from_2_to_3(document: Mapping[str, Any]) -> Document:
    """What probes find along an axis and over training is new: older records have none of it."""
    return {**document, "schema": "zoo.record/3"}


def from_3_to_4(document: Mapping[str, Any]) -> Document:
    """What clipping did to gradients and updates over training is new: older records have the clipped share alone."""
    return {**document, "schema": "zoo.record/4"}


def from_4_to_5(document: Mapping[str, Any]) -> Document:
    """Training's memory, steps a second and tokens are new: older records have none of them."""
    return {**document, "schema": "zoo.record/5"}


STEPS: Mapping[str, Callable[[Mapping[str, Any]], Document]] = {
    "zoo.record/1": from_1_to_2,
    "zoo.record/2": from_2_to_3,
    "zoo.record/3": from_3_to_4,
    "zoo.record/4": from_4_to_5,
}
"""Schema -> the step to the one after it."""


def migrated(document: Any) -> Document:
    """The plain JSON of a record of any known schema, as today's schema has it.

    Raises ValueError, saying what was found and expected, for anything that is not of a schema this package reads.
    """
    if not isinstance(document, dict):
        raise ValueError(f"no record: expected a JSON object with the key 'schema', found {type(document).__name__}")
    current: Document = document
    while current.get("schema") != SCHEMA:
        step = STEPS.get(_name(current))
        if step is None:
            raise ValueError(_unknown(current))
        current = step(current)
    return current


def _name(document: Mapping[str, Any]) -> str:
    schema = document.get("schema")
    return schema if isinstance(schema, str) else ""


def _unknown(document: Mapping[str, Any]) -> str:
    known = " or ".join([*STEPS, SCHEMA])
    if "schema" not in document:
        return f"no record: the key 'schema' is missing; expected {known}"
    name = _name(document)[:60]
    version = re.fullmatch(r"zoo\.record/([1-9][0-9]{0,8})", name)
    if version and int(version[1]) > int(SCHEMA.rpartition("/")[2]):
        return f"schema '{name}' is newer than this version of zoo, which reads up to {SCHEMA}: update zoo"
    return f"schema {document['schema']!r:.60}: expected {known}"


def _performance_2(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    moved = ("tokens_per_second", "throughput_batch", "peak_memory_bytes", "memory_kind")
    rate, batch, peak, kind = (part.get(name) for name in moved)
    kept = {name: value for name, value in part.items() if name not in moved}
    # A rate whose batch nobody noted says nothing; every writer noted it.
    if rate is not None and batch is not None:
        kept["throughput"] = [{"batch": batch, "tokens_per_second": rate}]
    if peak is not None:
        kept["memory"] = {"kind": "unknown" if kind is None else kind, "peak": peak}
    return kept
