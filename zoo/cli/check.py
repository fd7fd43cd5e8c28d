"""`zoo check SPEC`."""

from __future__ import annotations

from pathlib import Path

import click

from zoo.cli.notes import tell_notes
from zoo.cli.output import print_json
from zoo.spec import chosen_components, load_cells, spec_hash
from zoo.spec.peer_spec import PeerSpec


@click.command("check")
@click.argument("spec", type=click.Path(path_type=Path))
@click.option("--set", "sets", multiple=True, metavar="PATH=VALUE", help="Set one value, such as model.heads=8.")
@click.option("--json", "as_json", is_flag=True, help="Print the resolved specs as JSON.")
def command(spec: Path, sets: tuple[str, ...], as_json: bool) -> None:
    """Check a spec and print what it resolves to. Imports neither torch nor transformers."""
    cells = load_cells(spec, sets)
    tell_notes(cell.spec for cell in cells)
    if as_json:
        print_json([{"label": c.label, "hash": spec_hash(c.spec), "spec": c.spec.plain()} for c in cells])
        return
    for cell in cells:
        names = ", ".join(f"{chosen.kind} {chosen.name}" for chosen in chosen_components(cell.spec))
        seed = "" if isinstance(cell.spec, PeerSpec) else f" (seed {cell.spec.seed})"
        click.echo(f"{cell.spec.name}{seed}: {names}")
    click.echo(f"ok: {len(cells)} cell{'s' if len(cells) != 1 else ''}")
