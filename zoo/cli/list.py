"""`zoo list [KIND]`."""

from __future__ import annotations

import click

from zoo.cli.output import print_json, print_table
from zoo.registry import current_registry


@click.command("list")
@click.argument("kind", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(kind: str | None, as_json: bool) -> None:
    """List installed components, all or of one KIND."""
    registry = current_registry()
    found = registry.components(kind)
    if as_json:
        print_json(
            [
                {
                    "kind": item.kind,
                    "name": item.name,
                    "id": item.id,
                    "version": item.version,
                    "summary": item.summary,
                    "references": list(item.component.references),
                    "traits": dict(item.traits),
                }
                for item in found
            ]
        )
        return
    print_table(
        [(item.kind, item.name, item.distribution, item.summary) for item in found],
        ("KIND", "NAME", "PLUGIN", "SUMMARY"),
    )
