"""`zoo average DIR... --out DIR`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from zoo.cli.output import print_json, print_table
from zoo.cli.progress import TerminalProgress
from zoo.errors import InputError


class _Numbers(click.ParamType):  # type: ignore[type-arg]
    """Numbers with commas between them."""

    name = "N,N,..."

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        try:
            return [float(item) for item in str(value).split(",")]
        except ValueError:
            raise InputError("expected numbers with commas between them", where=f"--weights {value}") from None


@click.command("average")
@click.argument("directories", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="DIR...")
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Folder of the average.")
@click.option(
    "--method",
    type=click.Choice(["uniform", "greedy"]),
    default="uniform",
    show_default=True,
    help="All models, or only those that do not make the average worse on the development split.",
)
@click.option("--last", type=click.IntRange(2), metavar="K", help="The newest K checkpoints of the one run DIR.")
@click.option("--weights", type=_Numbers(), help="How much each model counts (uniform); scaled to add up to 1.")
@click.option("--by", metavar="METRIC", help="Score on the development split: 'loss' (greedy's), or a metric's name.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(
    directories: tuple[Path, ...],
    out: Path,
    method: Any,
    last: int | None,
    weights: list[float] | None,
    by: str | None,
    as_json: bool,
) -> None:
    """Average the weights of trained models: runs, checkpoints, or folders of transformers with the same tensors.

    The models should be trainings of one start (a model soup), or checkpoints of one run. The folder is read by
    'zoo evaluate' and from_pretrained; average.json in it says what went in.
    """
    from zoo_averaging.average import average

    with TerminalProgress() as progress:
        report = average(directories, out, method=method, last=last, weights=weights, by=by, progress=progress)
    if report.same_start is False:
        click.echo("zoo: the models did not begin with the same weights: their average is seldom of use", err=True)
    if as_json:
        print_json(asdict(report))
        return
    rows = [
        (one.path, _number(one.score), _number(one.soup_score), f"{one.share:.3f}" if one.share else "left out")
        for one in report.inputs
    ]
    header = ("MODEL", (report.by or "score").upper(), "SOUP WITH IT", "SHARE")
    shown = [0, *([1] if report.by else []), *([2] if report.method == "greedy" else []), 3]
    print_table([[row[column] for column in shown] for row in rows], [header[column] for column in shown])
    taken = sum(one.share > 0 for one in report.inputs)
    score = f", {report.by} {_number(report.score)} on dev" if report.by else ""
    click.echo(f"averaged {taken} of {len(report.inputs)} models{score}: {out}")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
