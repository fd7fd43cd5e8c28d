"""`zoo.outputs/1`: one Parquet file beside a record, one row for each scored example in the order of the examples.

Columns: `id`; `source`, `reference`, `output` (null where only scores are kept); then for each metric of the spec, in
its order, ``items.<metric>`` (what the example contributes, `zoo.tasks.Metric.items`) and ``score.<metric>`` (the score
of the example by itself; null where it has none). A metric chosen a second time is ``<metric>.2``. The file's metadata
say under the key ``zoo`` what the columns are. The record names the file and its sha256: a file that no record names is
the trace of a killed writer, and nobody reads it. Neither reading nor writing imports torch.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from zoo.atomic import write_atomic
from zoo.bench.record import OutputsFile, Record
from zoo.bench.store import regular_bytes
from zoo.errors import ZooError

if TYPE_CHECKING:
    from zoo.measure.evaluate import Evaluation

OUTPUTS_SCHEMA: Literal["zoo.outputs/1"] = "zoo.outputs/1"
SUFFIX = ".outputs.parquet"
LARGEST_OUTPUTS = 512 * 2**20
"""Bytes, on disk and unpacked: a larger file is not one of ours."""
_KEY = b"zoo"
_TEXTS = ("source", "reference", "output")


@dataclass(frozen=True)
class MetricOutputs:
    """One metric's part in the outputs."""

    metric: str
    signature: str
    direction: Literal["higher", "lower"]
    unit: str
    component: dict[str, Any]
    """The chosen component as the spec has it: ``{use: ..., option: ...}``."""
    items: tuple[NDArray[np.float64], ...]
    """`zoo.tasks.Metric.items`, one vector for each example."""
    scores: NDArray[np.float64]
    """`zoo.tasks.Metric.segments`, ``[N]``; NaN where an example has no score by itself."""


@dataclass(frozen=True)
class Outputs:
    """What was generated for each example and what each metric made of it. All sequences have one entry an example."""

    split: str
    data_revision: str
    ids: tuple[str, ...]
    sources: tuple[str, ...] | None
    """None, as `references` and `outputs`, where scores alone are kept."""
    references: tuple[str, ...] | None
    outputs: tuple[str, ...] | None
    metrics: tuple[MetricOutputs, ...]
    record: str | None = None
    """Id of the record; None while there is none."""


class _Column(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    column: str
    metric: str
    signature: str
    direction: Literal["higher", "lower"]
    unit: str
    component: dict[str, Any]


class _Facts(BaseModel):
    """The metadata of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_: Literal["zoo.outputs/1"] = Field(default=OUTPUTS_SCHEMA, alias="schema")
    record: str | None
    split: str
    data_revision: str
    metrics: list[_Column]


def outputs_of(evaluation: Evaluation, *, data_revision: str, text: bool) -> Outputs:
    """What `evaluation` found, as a file keeps it; without `text`, numbers alone."""
    return Outputs(
        split=evaluation.split,
        data_revision=data_revision,
        ids=evaluation.ids,
        sources=evaluation.sources if text else None,
        references=evaluation.references if text else None,
        outputs=evaluation.outputs if text else None,
        metrics=tuple(
            MetricOutputs(
                metric=scored.score.metric,
                signature=scored.score.signature,
                direction=scored.score.direction,
                unit=scored.score.unit,
                component=scored.component,
                items=tuple(scored.items),
                scores=scored.segments,
            )
            for scored in evaluation.metrics
        ),
    )


def write_outputs(path: Path, outputs: Outputs) -> None:
    """Write `path` whole or not at all, replacing what is there. The same content gives the same bytes."""
    _write(path, _table(outputs), exclusive=False)


def outputs_file(path: Path) -> OutputsFile:
    """A file of outputs as a record names it. Raises ZooError where `path` is no whole file of ours."""
    data = _bytes(path)
    table = _parse(path, data)
    _facts(path, table)
    return OutputsFile(
        file=path.name,
        sha256=hashlib.sha256(data).hexdigest(),
        examples=table.num_rows,
        text=table.column("output").null_count == 0,
    )


def publish_outputs(written: Path, folder: Path, record: str) -> OutputsFile:
    """Put the file `written` beside the record of that id, before the record itself is written.

    Raises FileExistsError where the name is taken, ZooError where `written` is no whole file of ours.
    """
    table = _parse(written, _bytes(written))
    facts = _facts(written, table).model_copy(update={"record": record})
    path = folder / f"{record}{SUFFIX}"
    _write(path, _described(table, facts), exclusive=True)
    return outputs_file(path)


def is_whole(path: Path, file: OutputsFile) -> bool:
    """Whether `path` holds the bytes that `file` was made from."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == file.sha256
    except OSError:
        return False


def read_outputs(folder: Path | str, record: Record) -> Outputs:
    """The outputs of a record in the store's `folder`.

    Raises ZooError, naming the file, where the record has none or where the file is missing, damaged or another's.
    """
    if record.outputs is None:
        raise ZooError(f"record {record.id} has no per-example outputs")
    path = Path(folder) / record.outputs.file
    data = _bytes(path)
    if hashlib.sha256(data).hexdigest() != record.outputs.sha256:
        raise ZooError(f"{path}: not the file that record {record.id} names (its sha256 is another)")
    table = _parse(path, data)
    facts = _facts(path, table)
    if facts.record != record.id:
        raise ZooError(f"{path}: the outputs of record '{facts.record}', expected those of '{record.id}'")
    if table.num_rows != record.outputs.examples:
        raise ZooError(f"{path}: {table.num_rows} examples, where the record has {record.outputs.examples}")
    return _from_table(path, table, facts)


def read_outputs_file(path: Path) -> Outputs:
    """A file of outputs that stands by itself, such as one that ``zoo evaluate --outputs`` wrote. Raises ZooError."""
    table = _parse(path, _bytes(path))
    return _from_table(path, table, _facts(path, table))


def _column_names(metrics: Sequence[str]) -> list[str]:
    """``bleu``, ``chrf``, ``bleu.2``: each name once."""
    seen: dict[str, int] = {}
    names = []
    for metric in metrics:
        seen[metric] = seen.get(metric, 0) + 1
        names.append(metric if seen[metric] == 1 else f"{metric}.{seen[metric]}")
    return names


def _table(outputs: Outputs) -> pa.Table:
    count = len(outputs.ids)
    columns: dict[str, pa.Array] = {"id": pa.array(outputs.ids, pa.string())}
    for name, texts in zip(_TEXTS, (outputs.sources, outputs.references, outputs.outputs), strict=True):
        columns[name] = pa.nulls(count, pa.string()) if texts is None else pa.array(texts, pa.string())
    names = _column_names([metric.metric for metric in outputs.metrics])
    for name, metric in zip(names, outputs.metrics, strict=True):
        offsets = np.cumsum([0, *(len(item) for item in metric.items)], dtype=np.int32)
        values = np.concatenate([np.zeros(0), *metric.items])
        columns[f"items.{name}"] = pa.ListArray.from_arrays(pa.array(offsets), pa.array(values, pa.float64()))
        scores = np.asarray(metric.scores, dtype=np.float64)
        columns[f"score.{name}"] = pa.array(scores, pa.float64(), mask=np.isnan(scores))
    lengths = {name: len(column) for name, column in columns.items()}
    if set(lengths.values()) - {count}:
        raise ValueError(f"expected {count} entries in every column, found {lengths}")
    facts = _Facts(
        record=outputs.record,
        split=outputs.split,
        data_revision=outputs.data_revision,
        metrics=[
            _Column(
                column=name,
                metric=metric.metric,
                signature=metric.signature,
                direction=metric.direction,
                unit=metric.unit,
                component=metric.component,
            )
            for name, metric in zip(names, outputs.metrics, strict=True)
        ],
    )
    return _described(pa.table(columns), facts)


def _described(table: pa.Table, facts: _Facts) -> pa.Table:
    return table.replace_schema_metadata({_KEY: facts.model_dump_json(by_alias=True).encode()})


def _write(path: Path, table: pa.Table, *, exclusive: bool) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    write_atomic(path, sink.getvalue().to_pybytes(), exclusive=exclusive)


def _bytes(path: Path) -> bytes:
    try:
        return regular_bytes(path, LARGEST_OUTPUTS, ", where outputs have at most")
    except ValueError as error:
        raise ZooError(f"{path}: {error}") from None
    except OSError as error:
        raise ZooError(f"{path}: {error.strerror or type(error).__name__}") from error


def _parse(path: Path, data: bytes) -> pa.Table:
    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        groups = range(file.metadata.num_row_groups)
        unpacked = sum(file.metadata.row_group(group).total_byte_size for group in groups)
        if unpacked > LARGEST_OUTPUTS:
            raise ZooError(f"{path}: {unpacked} bytes unpacked, where outputs have at most {LARGEST_OUTPUTS}")
        return file.read(use_threads=False)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ZooError(f"{path}: no whole Parquet file: {_one_line(error)}") from error


def _facts(path: Path, table: pa.Table) -> _Facts:
    """The metadata, once the columns are what they say. Raises ZooError."""
    raw = (table.schema.metadata or {}).get(_KEY)
    if raw is None:
        raise ZooError(f"{path}: no outputs of zoo: the metadata '{_KEY.decode()}' is missing")
    try:
        facts = _Facts.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(step) for step in first["loc"])
        raise ZooError(f"{path}: metadata: {place}: {_one_line(first['msg'])}") from error
    expected = {"id": pa.string(), **dict.fromkeys(_TEXTS, pa.string())}
    for column in facts.metrics:
        expected[f"items.{column.column}"] = pa.list_(pa.float64())
        expected[f"score.{column.column}"] = pa.float64()
    found = dict(zip(table.schema.names, table.schema.types, strict=True))
    if len(found) < len(table.schema.names) or list(found.items()) != list(expected.items()):
        said = ", ".join(f"{name} {type_}" for name, type_ in expected.items())
        raise ZooError(f"{path}: columns {_one_line(', '.join(found))}; expected {said}")
    for name in ("id", *(f"items.{column.column}" for column in facts.metrics)):
        if table.column(name).null_count:
            raise ZooError(f"{path}: column '{name}' holds null")
    if {table.column(name).null_count for name in _TEXTS} not in ({0}, {table.num_rows}):
        raise ZooError(f"{path}: texts of some examples only; expected all or none")
    return facts


def _from_table(path: Path, table: pa.Table, facts: _Facts) -> Outputs:
    def texts(name: str) -> tuple[str, ...] | None:
        column = table.column(name)
        return None if column.null_count else tuple(column.to_pylist())

    def items(name: str) -> tuple[NDArray[np.float64], ...]:
        column = table.column(name).combine_chunks()
        values = column.flatten()
        if values.null_count:
            raise ZooError(f"{path}: column '{name}' holds null")
        ends = np.cumsum(column.value_lengths().to_numpy())
        return tuple(np.split(values.to_numpy(), ends[:-1])) if len(column) else ()

    try:
        return Outputs(
            record=facts.record,
            split=facts.split,
            data_revision=facts.data_revision,
            ids=tuple(table.column("id").to_pylist()),
            sources=texts("source"),
            references=texts("reference"),
            outputs=texts("output"),
            metrics=tuple(
                MetricOutputs(
                    **column.model_dump(exclude={"column"}),
                    items=items(f"items.{column.column}"),
                    scores=table.column(f"score.{column.column}").to_numpy(),
                )
                for column in facts.metrics
            ),
        )
    except UnicodeDecodeError as error:
        raise ZooError(f"{path}: {_one_line(error)}") from error


def _one_line(error: object) -> str:
    return re.sub(r"\s+", " ", str(error)).strip()[:500]
