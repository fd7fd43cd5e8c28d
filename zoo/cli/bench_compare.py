"""`zoo bench compare A B`."""

from __future__ import annotations

from pathlib import Path

import click

from zoo.errors import ZooError


@click.command("compare")
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@click.option(
    "--store",
    type=click.Path(path_type=Path),
    default=Path("leaderboard/records"),
    show_default=True,
    help="Folder of the records.",
)
def command(before: str, after: str, store: Path) -> int:
    """Compare two models, records, files or folders of records."""
    raise ZooError(f"comparing {before} and {after} of {store}: not built yet")
