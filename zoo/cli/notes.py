"""What a user should know of a spec that is right."""

from __future__ import annotations

from collections.abc import Iterable

import click

from zoo.spec import Spec
from zoo.spec.clipping import clipping_notes
from zoo.spec.peer_spec import PeerSpec


def tell_notes(specs: Iterable[Spec]) -> None:
    """Print the notes on `specs` on standard error, each once."""
    trained = [spec.training for spec in specs if not isinstance(spec, PeerSpec)]
    found = [note for training in trained for note in clipping_notes(training.optimizer, training.clipping)]
    for note in dict.fromkeys(found):
        click.echo(f"zoo: note: {note}", err=True)
