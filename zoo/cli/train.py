"""`zoo train SPEC --out DIR`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from zoo.cli.notes import tell_notes
from zoo.cli.progress import TerminalProgress
from zoo.errors import InputError, ZooError
from zoo.spec import load_spec


@click.command("train")
@click.argument("spec", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Folder of the run.")
@click.option("--resume", is_flag=True, help="Go on with an interrupted run in DIR, from its newest checkpoint.")
@click.option("--set", "sets", multiple=True, metavar="PATH=VALUE", help="Set one value, such as training.steps=100.")
@click.option("--cell", metavar="LABEL", help="The point of a grid to train.")
@click.option(
    "--processes",
    type=click.IntRange(1, 1024),
    default=1,
    metavar="N",
    help="Train with N processes on this machine, one a GPU where there are any.",
)
def command(spec: Path, out: Path, resume: bool, sets: tuple[str, ...], cell: str | None, processes: int) -> None:
    """Train the model of SPEC in DIR: checkpoints, TensorBoard logs, and a folder that transformers loads.

    Several processes share the micro-batches of each step (training.gradient_accumulation, which must be a multiple of
    their number, or training.step_tokens), so that the model is the same. torchrun and accelerate may start 'zoo train'
    too, also on several machines that share their folders.
    """
    chosen = load_spec(spec, sets, cell=cell)

    from zoo.training.processes.launch import train_together
    from zoo.training.processes.world import ToldElsewhereError, launched

    if launched() and processes > 1:
        raise InputError("a launcher has started several processes already", where=f"--processes {processes}")
    first = os.environ.get("RANK", "0") == "0" or not launched()
    if first:
        tell_notes([chosen])
    try:
        with TerminalProgress() as progress:
            outcome = train_together(chosen, out, processes, resume=resume, progress=progress)
    except ToldElsewhereError as error:
        raise click.exceptions.Exit(error.exit_code) from None
    if outcome.status != "ok":
        kept = f"the weights of step {outcome.model_step} are" if outcome.model_step else "the initial weights are"
        raise ZooError(f"{out}: training ended with status {outcome.status}: {outcome.error}; {kept} in the folder")
    if not first:
        return
    loss = next((point.loss for point in reversed(outcome.curve) if point.loss is not None), None)
    told = f", loss {loss:.4f}" if loss is not None else ""
    speed = f", {outcome.tokens_per_second:.0f} tokens/s" if outcome.tokens_per_second else ""
    early = " (stopped early)" if "stopped_early" in outcome.facts else ""
    best = f", the weights of step {outcome.model_step} are the best" if outcome.model_step != outcome.steps else ""
    short = outcome.facts.get("examples_past_their_frames", {})
    if any(short.values()):
        shares = ", ".join(f"{share:.2%} of {split}" for split, share in short.items())
        click.echo(
            f"texts that need more frames than their images have, and so are not learnt: {shares} "
            "(narrower patches, model.image.patch.width, or model.image.frames give more)"
        )
    click.echo(
        f"trained {chosen.name} for {outcome.steps} steps{early} in {outcome.seconds:.0f} s{told}{speed}{best}: {out}"
    )
