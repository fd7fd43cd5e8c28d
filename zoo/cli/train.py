"""`zoo train SPEC --out DIR`."""

from __future__ import annotations

from pathlib import Path

import click

from zoo.cli.progress import TerminalProgress
from zoo.errors import ZooError
from zoo.spec import load_spec


@click.command("train")
@click.argument("spec", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Folder of the run.")
@click.option("--resume", is_flag=True, help="Go on with an interrupted run in DIR, from its newest checkpoint.")
@click.option("--set", "sets", multiple=True, metavar="PATH=VALUE", help="Set one value, such as training.steps=100.")
@click.option("--cell", metavar="LABEL", help="The point of a grid to train.")
def command(spec: Path, out: Path, resume: bool, sets: tuple[str, ...], cell: str | None) -> None:
    """Train the model of SPEC in DIR: checkpoints, TensorBoard logs, and a folder that transformers loads."""
    chosen = load_spec(spec, sets, cell=cell)

    from zoo.training import train

    with TerminalProgress() as progress:
        outcome = train(chosen, out, resume=resume, progress=progress)
    if outcome.status != "ok":
        kept = f"the weights of step {outcome.model_step} are" if outcome.model_step else "the initial weights are"
        raise ZooError(f"{out}: training ended with status {outcome.status}: {outcome.error}; {kept} in the folder")
    loss = next((point.loss for point in reversed(outcome.curve) if point.loss is not None), None)
    told = f", loss {loss:.4f}" if loss is not None else ""
    speed = f", {outcome.tokens_per_second:.0f} tokens/s" if outcome.tokens_per_second else ""
    click.echo(f"trained {chosen.name} for {outcome.steps} steps in {outcome.seconds:.0f} s{told}{speed}: {out}")
