"""A board's table as CSV and JSON files beside the page."""

from __future__ import annotations

import csv
import io
import json
import math

from zoo.site.board import BoardTable, Value
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
        writer.writerow(
            guarded(value) if isinstance(value, str) else _number(value) for cell in row.cells for value in cell.data
        )
    return stream.getvalue()


def json_text(task: str, table: BoardTable) -> str:
    """The same values as an object per row, with what each column means."""
    fields = [field for column in table.columns for field in column.fields]
    content = {
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
        "rows": [
            dict(
                zip(
                    fields,
                    (value if isinstance(value, str) else _number(value) for cell in row.cells for value in cell.data),
                    strict=True,
                )
            )
            for row in table.rows
        ],
    }
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def guarded(text: str) -> str:
    """`text` as a spreadsheet shows it rather than runs it."""
    text = printable(text)
    return f"'{text}" if text.startswith(_FORMULA) or text.lstrip().startswith(_FORMULA) else text


def _number(value: Value) -> Value:
    """Whole values without a fraction, and nothing where a sum went beyond what a float holds."""
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        if value.is_integer() and abs(value) < 2**53:
            return int(value)
    return value
