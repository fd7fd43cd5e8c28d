"""`zoo records check|schema`."""

from __future__ import annotations

from pathlib import Path

import click

from zoo.bench.schema import record_schema
from zoo.bench.store import RecordStore
from zoo.cli.output import print_json
from zoo.errors import InputError, InputErrorGroup

STORE = Path("leaderboard/records")


@click.group("records")
def command() -> None:
    """Check benchmark records; print their schema."""


@command.command("check")
@click.argument("folder", type=click.Path(path_type=Path), default=STORE, metavar="[DIR]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(folder: Path, as_json: bool) -> None:
    """Read every record in DIR and name the files that are none. Exit status 2 where there is one."""
    if not folder.exists():
        raise InputError("no such folder of records", where=str(folder))
    reading = RecordStore(folder).read()
    if as_json:
        print_json(
            {
                "records": len(reading.records),
                "problems": [{"file": str(item.path), "message": item.message} for item in reading.problems],
            }
        )
    else:
        click.echo(f"{len(reading.records)} records")
    if reading.problems:
        raise InputErrorGroup(InputError(item.message, where=str(item.path)) for item in reading.problems)


@command.command("schema")
def schema() -> None:
    """Print the JSON Schema of a record file."""
    print_json(record_schema())
