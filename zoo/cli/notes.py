"""What a user should know of a spec that is right."""

from __future__ import annotations

from collections.abc import Iterable

import click

from zoo.spec import Spec
from zoo.spec.clipping import clipping_notes


def tell_notes(specs: Iterable[Spec]) -> None:
    """Print the notes on `specs` on standard error, each once."""
    found = [note for spec in specs for note in clipping_notes(spec.training.optimizer, spec.training.clipping)]
    for note in dict.fromkeys(found):
        click.echo(f"zoo: note: {note}", err=True)
