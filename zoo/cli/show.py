"""`zoo show KIND/NAME`."""

from __future__ import annotations

from typing import Any

import click

from zoo.cli.output import print_json, print_table
from zoo.errors import InputError
from zoo.registry import RegisteredComponent, current_registry
from zoo.spec.describe import option_rows


def _split(text: str) -> tuple[str, str]:
    kind, slash, name = text.partition("/")
    if not slash or not name:
        found = sorted(f"{item.kind}/{item.name}" for item in current_registry().components() if item.name == text)
        meant = f"did you mean '{found[0]}'?" if found else "'zoo list' names all"
        raise InputError(f"expected KIND/NAME, found '{text}': {meant}", where="zoo show")
    return kind, name


def _options(item: RegisteredComponent) -> list[dict[str, Any]]:
    return [
        {
            "name": row.name,
            "type": row.type,
            "default": "required" if row.required else row.default,
            "description": row.description,
        }
        for row in option_rows(item.load_options())
    ]


@click.command("show")
@click.argument("component", metavar="KIND/NAME")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(component: str, as_json: bool) -> None:
    """Show one component: its options, papers and plugin."""
    item = current_registry().get(*_split(component))
    options = _options(item)
    if as_json:
        print_json(
            {
                "kind": item.kind,
                "name": item.name,
                "id": item.id,
                "version": item.version,
                "summary": item.summary,
                "references": list(item.component.references),
                "traits": dict(item.traits),
                "target": item.component.target,
                "options": options,
            }
        )
        return
    click.echo(f"{item.kind}/{item.name}  ({item.id} {item.version})")
    click.echo(item.summary)
    if item.component.references:
        click.echo("Papers: " + ", ".join(item.component.references))
    for name, value in item.traits.items():
        click.echo(f"{name}: {value}")
    click.echo("")
    if options:
        rows = [(row["name"], str(row["type"]), _shown(row["default"]), row["description"]) for row in options]
        print_table(rows, ("OPTION", "TYPE", "DEFAULT", "MEANING"))
    else:
        click.echo("No options.")


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
