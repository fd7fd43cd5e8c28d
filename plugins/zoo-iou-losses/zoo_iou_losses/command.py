"""`zoo boxes simulate`: argument handling."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.atomic import write_atomic
from zoo.cli.output import print_json, print_table
from zoo.cli.progress import TerminalProgress
from zoo.errors import InputError

if TYPE_CHECKING:
    from zoo_iou_losses.simulation import Simulation

_SHOWN = (1, 10, 25, 50, 100, 160, 200)
"""Steps that the table has."""


@click.group("boxes", help="What box losses do to boxes.")
def boxes() -> None:
    """The group."""


@boxes.command("simulate")
@click.option(
    "--loss",
    "losses",
    multiple=True,
    metavar="NAME",
    help="A box loss (zoo list box-loss); repeatable. Default: iou, giou, diou and ciou.",
)
@click.option(
    "--mode",
    "modes",
    type=click.Choice(["authors", "autograd", "text-lines"]),
    multiple=True,
    help="Gradients as the authors of DIoU published them; true ones; true ones on lines of text. Default: all three.",
)
@click.option("--points", type=click.IntRange(1), default=5000, show_default=True, help="Points, of 343 cases each.")
@click.option("--steps", type=click.IntRange(10), default=200, show_default=True, help="Steps of gradient descent.")
@click.option("--seed", type=int, default=0, show_default=True, help="What the points are drawn from.")
@click.option("--float64", "double", is_flag=True, help="Compute in double precision.")
@click.option("--eager", is_flag=True, help="Compile no kernel: slower with many points, at once with few.")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", help="Write all errors to FILE.json or FILE.csv."
)
@click.option("--figures", type=click.Path(path_type=Path), metavar="DIR", help="Write the figures of the leaderboard.")
@click.option("--json", "as_json", is_flag=True, help="Print the errors as JSON, without those of single points.")
def simulate(
    losses: tuple[str, ...],
    modes: tuple[Any, ...],
    points: int,
    steps: int,
    seed: int,
    double: bool,
    eager: bool,
    out: Path | None,
    figures: Path | None,
    as_json: bool,
) -> None:
    """Move boxes onto their targets by the gradient of their loss: the simulation of the DIoU paper.

    With 5000 points these are 1,715,000 cases. FILE.json has the error of all cases after each step, and the final one
    by distance, direction and point; FILE.csv the error after each step.
    """
    if out is not None and out.suffix not in {".json", ".csv"}:
        raise InputError("expected a name that ends in .json or .csv", where=f"--out {out}")
    from zoo_iou_losses.figures import figures_of
    from zoo_iou_losses.simulation import LOSSES, MODES
    from zoo_iou_losses.simulation import simulate as simulated

    with TerminalProgress() as progress:
        found = simulated(
            losses or LOSSES,
            modes or MODES,
            points=points,
            steps=steps,
            seed=seed,
            compiled=not eager,
            double=double,
            progress=progress,
        )
    if out is not None:
        write_atomic(out, _csv(found) if out.suffix == ".csv" else json.dumps(asdict(found), indent=1) + "\n")
    if figures is not None:
        for name, figure in figures_of(found).items():
            write_atomic(figures / f"{name}.json", json.dumps(figure, separators=(",", ":")) + "\n")
    if as_json:
        print_json(_summary(found))
    else:
        _print(found)


def _summary(found: Simulation) -> dict[str, Any]:
    document = asdict(found)
    del document["points"]
    for curve in document["curves"]:
        del curve["positions"]
    return document


def _csv(found: Simulation) -> str:
    stream = io.StringIO()
    rows = csv.writer(stream, lineterminator="\n")
    rows.writerow(("mode", "loss", "step", "error"))
    for curve in found.curves:
        rows.writerows((curve.mode, curve.loss, step, error) for step, error in enumerate(curve.total))
    return stream.getvalue()


def _print(found: Simulation) -> None:
    shown = [step for step in _SHOWN if step <= found.steps]
    rows = [
        (curve.mode, curve.loss, *(f"{curve.total[step] / 1e6:.3f}" for step in shown), f"{curve.seconds:.0f}")
        for curve in found.curves
    ]
    print_table(rows, ("MODE", "LOSS", *(f"STEP {step}" for step in shown), "SECONDS"))
    click.echo(f"{found.cases:,} cases; error in millions: L1 distance of centre and size, all cases together")
