"""A board's table as CSV, JSON and Parquet files beside the page."""

from __future__ import annotations

import csv
import io
import json
import math
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from zoo.site.board import BoardTable, Row
from zoo.site.columns import Value
from zoo.site.figures import as_float
from zoo.site.naming import printable

BOARD_SCHEMA = "zoo.board/1"
_FORMULA = ("=", "+", "-", "@", "\t", "\n", "＝", "＋", "－", "＠")
"""A spreadsheet takes a text that starts so for a formula and may run it."""


def csv_text(table: BoardTable) -> str:
    """RFC 4180 CSV with a header. A text that a spreadsheet could run as a formula gets a leading apostrophe."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow(guarded(field) for column in table.columns for field in column.fields)
    for row in table.rows:
        writer.writerow(guarded(value) if isinstance(value, str) else _plain(value) for value in _values(row))
    return stream.getvalue()


def json_text(task: str, table: BoardTable) -> str:
    """The same values as an object per row, with what each column means."""
    fields = [field for column in table.columns for field in column.fields]
    rows = [dict(zip(fields, (_plain(value) for value in _values(row)), strict=True)) for row in table.rows]
    return json.dumps(_about(task, table) | {"rows": rows}, indent=1, allow_nan=False) + "\n"


def parquet_bytes(task: str, table: BoardTable) -> bytes:
    """The same values as typed columns; what JSON says of them is in the file's metadata under ``zoo``."""
    fields = _distinct([printable(field) for column in table.columns for field in column.fields])
    values = zip(*(_values(row) for row in table.rows), strict=True)
    columns = [_array([_plain(value) for value in column]) for column in values]
    made = pa.table(dict(zip(fields, columns, strict=True)))
    made = made.replace_schema_metadata({"zoo": json.dumps(_about(task, table))})
    stream = io.BytesIO()
    pq.write_table(made, stream, compression="zstd")
    return stream.getvalue()


def _array(values: list[Value]) -> pa.Array:
    present = [value for value in values if value is not None]
    if any(isinstance(value, str) for value in present):
        return pa.array([None if value is None else printable(str(value)) for value in values], pa.string())
    if all(isinstance(value, int) and abs(value) < 2**63 for value in present):
        return pa.array(values, pa.int64())
    numbers = [None if value is None or isinstance(value, str) else as_float(value) for value in values]
    return pa.array(numbers, pa.float64())


def _distinct(fields: list[str]) -> list[str]:
    """Parquet readers find a column by its name; two that look alike after cleaning are numbered."""
    seen: dict[str, int] = {}
    named = []
    for field in fields:
        seen[field] = seen.get(field, 0) + 1
        named.append(field if seen[field] == 1 else f"{field} ({seen[field]})")
    return named


def _about(task: str, table: BoardTable) -> dict[str, Any]:
    return {
        "schema": BOARD_SCHEMA,
        "task": task,
        "data_revision": table.data_revision,
        "ranked_by": table.ranking._asdict() if table.ranking else None,
        "columns": [
            {
                "fields": list(column.fields),
                "label": column.label,
                "better": column.better,
                "description": column.description,
            }
            for column in table.columns
        ],
    }


def _values(row: Row) -> list[Value]:
    return [value for cell in row.cells for value in cell.data]


def guarded(text: str) -> str:
    """`text` as a spreadsheet shows it rather than runs it."""
    text = printable(text)
    return f"'{text}" if text.startswith(_FORMULA) or text.lstrip().startswith(_FORMULA) else text


def _plain(value: Value) -> Value:
    """Whole values without a fraction, and nothing where a sum went beyond what a float holds."""
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        if value.is_integer() and abs(value) < 2**53:
            return int(value)
    return value
