"""Questions to a store in SQL, answered by DuckDB in memory.

Records come through `zoo.bench.store`, so that a query sees what every other reader sees: whole records, older schemas
as today's. Per-example outputs are read by DuckDB itself. A statement can read, and nothing but this: no other file, no
network, no setting.
"""

from __future__ import annotations

import datetime
import json
import math
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.bench.outputs import SUFFIX
from zoo.bench.record import Record
from zoo.bench.store import Problem, RecordStore
from zoo.bench.views import TEXT, VIEWS, Row
from zoo.errors import InputError, ZooError, did_you_mean

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

EXAMPLES = "examples"
_EXAMPLES_SUMMARY = 'one row a scored example of a record with outputs; a column "score.<metric>" for each metric'
_EXAMPLE_COLUMNS = (("record", TEXT), ("id", TEXT), ("source", TEXT), ("reference", TEXT), ("output", TEXT))
_LOCKED = (
    "SET temp_directory = ''",
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)


@dataclass(frozen=True)
class Answer:
    """A table, and the files that could not be read for it."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    problems: tuple[Problem, ...] = ()
    json_columns: frozenset[int] = frozenset()

    def plain_rows(self) -> list[Row]:
        """The rows as JSON holds them: times as ISO 8601, decimals as numbers, what is not finite as null."""
        return [
            tuple(
                json.loads(value) if number in self.json_columns and value is not None else _plain(value)
                for number, value in enumerate(row)
            )
            for row in self.rows
        ]


def ask(folder: Path | str, sql: str) -> Answer:
    """Run one SELECT over a store.

    Raises InputError for SQL that DuckDB refuses, for anything but one SELECT and for a folder that is none; ZooError
    where DuckDB is missing or fails.
    """
    duckdb = _duckdb()
    folder = _store(folder)
    with duckdb.connect(":memory:") as connection:
        _refuse_all_but_select(duckdb, connection, sql)
        words = set(re.findall(r"\w+", sql.lower()))
        problems = _load(connection, folder, words)
        try:
            described, rows = _answer(connection, sql)
        except (duckdb.IOException, duckdb.OutOfMemoryException, duckdb.InternalException) as error:
            raise ZooError(f"DuckDB: {_first_line(error)}") from None
        except duckdb.Error as error:
            raise InputError(_explained(error), where="SQL") from None
    json_columns = frozenset(number for number, column in enumerate(described) if str(column[1]) == "JSON")
    return Answer(_unique([column[0] for column in described]), rows, problems, json_columns)


def views(folder: Path | str) -> Answer:
    """Every view with what it holds and its columns, as DuckDB types them."""
    duckdb = _duckdb()
    folder = _store(folder)
    summaries = {view.name: view.summary for view in VIEWS} | {EXAMPLES: _EXAMPLES_SUMMARY}
    with duckdb.connect(":memory:") as connection:
        problems = _load(connection, folder, {EXAMPLES})
        rows = [
            (name, summary, *column)
            for name, summary in summaries.items()
            for column in connection.execute(f"SELECT column_name, column_type FROM (DESCRIBE {name})").fetchall()
        ]
    return Answer(("view", "summary", "column", "type"), tuple(rows), problems)


def _duckdb() -> Any:
    try:
        import duckdb
    except ImportError:
        raise ZooError("queries need DuckDB: pip install 'zoo-registry[bench]'") from None
    return duckdb


def _store(folder: Path | str) -> Path:
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError("no such folder of records", where=str(folder))
    return folder.resolve()


def _refuse_all_but_select(duckdb: Any, connection: DuckDBPyConnection, sql: str) -> None:
    try:
        statements = connection.extract_statements(sql)
    except duckdb.Error as error:
        raise InputError(_explained(error), where="SQL") from None
    kinds = [statement.type.name for statement in statements]
    if kinds != ["SELECT"]:
        found = ", ".join(kinds) or "nothing"
        raise InputError(f"expected one SELECT (or FROM, DESCRIBE, SUMMARIZE), found {found}", where="SQL")


def _load(connection: DuckDBPyConnection, folder: Path, words: set[str]) -> tuple[Problem, ...]:
    """Make the views; those that no word of the question names stay empty. Then lock everything else."""
    named = [view for view in VIEWS if view.name in words]
    reading = RecordStore(folder).read() if named or EXAMPLES in words else None
    records: Sequence[Record] = reading.records if reading else ()
    problems = list(reading.problems) if reading else []
    for view in VIEWS:
        columns = ", ".join(f'"{name}" {type_}' for name, type_ in view.columns)
        connection.execute(f"CREATE TABLE {view.name} ({columns})")
        if view in named:
            connection.register("incoming", view.table(records))
            connection.execute(f"INSERT INTO {view.name} SELECT * FROM incoming")
            connection.unregister("incoming")
    connection.execute("SET python_enable_replacements = false")  # no Python variable is a table
    problems += _load_examples(connection, folder, records if EXAMPLES in words else ())
    for statement in _LOCKED:
        connection.execute(statement)
    return tuple(problems)


def _load_examples(connection: DuckDBPyConnection, folder: Path, records: Sequence[Record]) -> list[Problem]:
    """The view of all whole files of outputs, which DuckDB reads when it is asked for what is in them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    files: list[str] = []
    scores: dict[str, None] = {}
    problems: list[Problem] = []
    for record in records:
        if record.outputs is None:
            continue
        path = folder / record.outputs.file
        try:
            if not path.is_file():
                raise FileNotFoundError("no such file")
            names = pq.read_schema(path).names
        except (OSError, pa.ArrowException) as error:
            problems.append(Problem(path, " ".join(str(error).split())[:200]))
            continue
        if {name for name, _ in _EXAMPLE_COLUMNS[1:]} <= set(names):
            files.append(str(path))
            scores.update(dict.fromkeys(name for name in names if name.startswith("score.")))
        else:
            problems.append(Problem(path, "its columns are not those of outputs"))
    if not files:
        columns = ", ".join(f"{name} {type_}" for name, type_ in _EXAMPLE_COLUMNS)
        connection.execute(f"CREATE TABLE {EXAMPLES} ({columns})")
        return problems
    listed = "[" + ", ".join(_quoted(file, "'") for file in files) + "]"
    chosen = ", ".join(["id", "source", "reference", "output", *(_quoted(name, '"') for name in scores)])
    connection.execute(f"SET allowed_paths = {listed}")
    connection.execute(
        f"CREATE VIEW {EXAMPLES} AS SELECT left(parse_filename(filename), -{len(SUFFIX)}) AS record, {chosen} "
        f"FROM read_parquet({listed}, union_by_name = true, filename = true, hive_partitioning = false)"
    )
    return problems


def _quoted(text: str, mark: str) -> str:
    return mark + text.replace(mark, mark * 2) + mark


def _answer(connection: DuckDBPyConnection, sql: str) -> tuple[list[Any], tuple[Row, ...]]:
    """Columns and rows, on another thread: DuckDB does not see the user's Ctrl-C, this one does and tells it."""

    def run() -> tuple[list[Any], tuple[Row, ...]]:
        connection.execute(sql)
        return connection.description or [], tuple(connection.fetchall())

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run)
        try:
            return running.result()
        except KeyboardInterrupt:
            connection.interrupt()
            raise


def _explained(error: Exception) -> str:
    """DuckDB's message in one line; for a table that is not there with the views that are."""
    message = _first_line(error)
    missing = re.match(r"Catalog Error: Table with name (\S+) does not exist", message)
    if missing:
        names = [view.name for view in VIEWS]
        return f"no view '{missing[1]}': {did_you_mean(missing[1], [*names, EXAMPLES])}"
    return message


def _first_line(error: Exception) -> str:
    # The lines after LINE show where in the statement it is, with a caret below.
    return " ".join(re.split(r"\n\s*LINE \d+:", str(error))[0].split())


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    """Names of columns, each once: a second ``record`` is ``record_2``."""
    found: list[str] = []
    for name in names:
        candidate, number = name, 1
        while candidate in found:
            number += 1
            candidate = f"{name}_{number}"
        found.append(candidate)
    return tuple(found)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return _plain(float(value))
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return str(value)
