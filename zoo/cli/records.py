"""`zoo records check|query|publish|schema`."""

from __future__ import annotations

import csv
import itertools
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo.cli.output import print_json, print_table
from zoo.errors import InputError, InputErrorGroup, visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zoo.bench.query import Answer
    from zoo.bench.store import Problem

STORE = Path("leaderboard/records")


@click.group("records")
def command() -> None:
    """Check, query and publish benchmark records; print their schema."""


@command.command("check")
@click.argument("folder", type=click.Path(path_type=Path), default=STORE, metavar="[DIR]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(folder: Path, as_json: bool) -> None:
    """Check every record in DIR, and the files beside them, against what they claim.

    Hashes, cell keys, medians and scores are computed again from the files; nothing is run. Exit status 2 where
    something does not hold, one line for each; warnings do not count.
    """
    from zoo.bench.soundness import check_store

    if not folder.exists():
        raise InputError("no such folder of records", where=str(folder))
    report = check_store(folder)
    if as_json:
        print_json(
            {
                "records": report.records,
                "older": report.older,
                "outputs": report.outputs,
                "recomputed": report.recomputed,
                "problems": _plain(report.problems),
                "warnings": _plain(report.warnings),
            }
        )
    else:
        older = f" ({report.older} of an older schema)" if report.older else ""
        click.echo(
            f"{report.records} records{older}, {report.outputs} with outputs, {report.recomputed} scores computed again"
        )
        for warning in report.warnings:
            click.echo(f"zoo: warning: {warning}", err=True)
    _fail(report.problems)


@command.command("query")
@click.argument("sql", required=False)
@click.option("--store", type=click.Path(path_type=Path), default=STORE, show_default=True, help="Folder of records.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: a list of one object a row.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
def query(sql: str | None, store: Path, as_json: bool, as_csv: bool) -> None:
    """Ask the records a question in SQL (DuckDB's); without one, list the views and their columns.

    Reads only. For example:

    zoo records query "SELECT name, avg(value) FROM quality JOIN records USING (record) GROUP BY name"
    """
    from zoo.bench.query import ask, views

    if as_json and as_csv:
        raise InputError("--json and --csv: expected one of them")
    answer = views(store) if sql is None else ask(store, sql)
    if as_json:
        print_json([dict(zip(answer.columns, row, strict=True)) for row in answer.plain_rows()])
    elif as_csv:
        _print_csv(answer)
    elif sql is None:
        _print_views(answer)
    else:
        header = [visible(name) for name in answer.columns]
        print_table([[_cell(value) for value in row] for row in answer.rows], header)
    for problem in answer.problems:
        click.echo(f"zoo: left out {problem}", err=True)


@command.command("publish")
@click.argument("source", type=click.Path(path_type=Path), metavar="FROM")
@click.argument("target", type=click.Path(path_type=Path), metavar="TO")
@click.option("--with-text", is_flag=True, help="Publish sources, references and outputs too. They need be yours to.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def publish(source: Path, target: Path, with_text: bool, as_json: bool) -> None:
    """Copy finished records and their outputs from one store into another, such as the one that is committed.

    Left out: texts of examples (their scores stay), the name of the machine, folders on it. Nothing is written over.
    Exit status 2 where a record cannot be published, one line for each; the others are.
    """
    from zoo.bench.publish import publish as publish_records
    from zoo.bench.soundness import contradictions

    done = publish_records(source, target, with_text=with_text, check=contradictions)
    if as_json:
        print_json(
            {
                "published": list(done.published),
                "present": list(done.present),
                "unfinished": list(done.unfinished),
                "problems": _plain(done.problems),
                "warnings": _plain(done.warnings),
            }
        )
    else:
        text = "with their texts" if with_text else "without texts"
        there = f", {len(done.present)} were there" if done.present else ""
        failed = f", {len(done.unfinished)} unfinished left out" if done.unfinished else ""
        click.echo(f"{len(done.published)} records published in {target} {text}{there}{failed}")
        for warning in done.warnings:
            click.echo(f"zoo: warning: {warning}", err=True)
    _fail(done.problems)


@command.command("schema")
def schema() -> None:
    """Print the JSON Schema of a record file."""
    from zoo.bench.schema import record_schema

    print_json(record_schema())


def _plain(problems: Sequence[Problem]) -> list[dict[str, str]]:
    return [{"file": item.place, "message": item.message} for item in problems]


def _fail(problems: Sequence[Problem]) -> None:
    if problems:
        raise InputErrorGroup(InputError(visible(item.message), where=item.place) for item in problems)


def _print_csv(answer: Answer) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(answer.columns)
    writer.writerows(["" if value is None else value for value in row] for row in answer.rows)


def _print_views(answer: Answer) -> None:
    for (name, summary), rows in itertools.groupby(answer.rows, key=lambda row: row[:2]):
        click.echo(f"{name}: {summary}")
        columns = ", ".join(f"{visible(column)} {type_}" for _, _, column, type_ in rows)
        click.echo(textwrap.fill(columns, 118, initial_indent="  ", subsequent_indent="  ", break_long_words=False))


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return visible(f"{value:.6g}" if isinstance(value, float) else str(value))
