"""`zoo backends SPEC`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.cli.output import print_json, print_table
from zoo.cli.progress import TerminalProgress
from zoo.errors import InputError

if TYPE_CHECKING:
    from zoo.measure.step_report import StepCost


@click.command("backends")
@click.argument("spec", type=click.Path(path_type=Path))
@click.option("--set", "sets", multiple=True, metavar="PATH=VALUE", help="Set one value, such as model.heads=8.")
@click.option("--vocabulary", type=click.IntRange(8, 1_000_000), default=4000, show_default=True, help="Rows of V.")
@click.option("--batch", type=click.IntRange(1, 4096), default=16, show_default=True, help="Sentences a step.")
@click.option("--source", type=click.IntRange(2, 100_000), default=63, show_default=True, help="Source tokens.")
@click.option("--target", type=click.IntRange(2, 100_000), default=61, show_default=True, help="Target tokens.")
@click.option("--rounds", type=click.IntRange(1, 1000), default=15, show_default=True, help="Timed steps of each.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), help="Default: a GPU where there is one.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, every timing included.")
def command(
    spec: Path,
    sets: tuple[str, ...],
    vocabulary: int,
    batch: int,
    source: int,
    target: int,
    rounds: int,
    device: str | None,
    as_json: bool,
) -> None:
    """Which attention kernels each model of SPEC's grid runs, and what a training step costs beside the first's.

    Models are untrained and step on random tokens, in turn, in this process. Nothing is recorded.
    """
    from zoo.spec import load_cells
    from zoo.spec.peer_spec import refuse_peer

    cells = load_cells(spec, sets)
    for item in cells:
        refuse_peer(item.spec)
    import torch

    from zoo.measure.step_report import Shape, step_costs
    from zoo.models import assemble

    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: there is no GPU here")
    chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    with TerminalProgress() as progress:
        found = step_costs(
            [
                (item.label or item.spec.name, lambda item=item: assemble(item.spec.model, vocabulary, seed=1))  # type: ignore[misc]
                for item in cells
            ],
            Shape(batch, source, target),
            rounds=rounds,
            device=chosen,
            layers=[_layers(item.spec) for item in cells],
            progress=progress,
        )
    if as_json:
        print_json([_plain(item, found[0]) for item in found])
        return
    rows = [_row(item, found[0]) for item in found]
    print_table(rows, ("MODEL", "FUSED", "KERNELS", "SCORES WRITTEN", "STEP", "TIME", "95% INTERVAL", "MEMORY"))
    click.echo(
        f"{chosen}, {torch.get_num_threads()} thread(s), batch {batch} x {source} source and {target} target tokens; "
        f"TIME and MEMORY are ratios to {found[0].label}"
    )


def _layers(spec: Any) -> int:
    stacks = (spec.model.encoder, spec.model.decoder)
    return sum(stack.layers for stack in stacks if stack is not None)


def _row(item: StepCost, reference: StepCost) -> tuple[str, ...]:
    ratio, interval = item.ratio(reference)
    between = "-" if interval is None or item is reference else f"{interval[0]:.2f} to {interval[1]:.2f}"
    return (
        item.label,
        "yes" if item.fused else "no",
        ", ".join(item.kernels),
        "-" if item.scores_written is None else f"{item.scores_written:.1f} a layer",
        f"{item.median * 1000:.0f} ms",
        f"{ratio:.2f}",
        between,
        f"{item.peak_bytes / reference.peak_bytes:.2f}",
    )


def _plain(item: StepCost, reference: StepCost) -> dict[str, Any]:
    ratio, interval = item.ratio(reference)
    return {
        "model": item.label,
        "fused": item.fused,
        "kernels": list(item.kernels),
        "scores_written_per_layer": item.scores_written,
        "seconds": list(item.seconds),
        "peak_bytes": item.peak_bytes,
        "time_ratio": ratio,
        "time_interval": None if interval is None else list(interval),
        "memory_ratio": item.peak_bytes / reference.peak_bytes,
    }
