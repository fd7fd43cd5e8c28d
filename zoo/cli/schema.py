"""`zoo schema`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from zoo.atomic import write_atomic
from zoo.spec.schema import spec_schema


@click.command("schema")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file instead of stdout.")
def command(out: Path | None) -> None:
    """Write a JSON Schema of spec files over the installed components, for editors."""
    text = json.dumps(spec_schema(), indent=2, ensure_ascii=False) + "\n"
    if out is None:
        click.echo(text, nl=False)
    else:
        write_atomic(out, text)
