"""`zoo bench compare A B`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo.cli.numbers import FiniteRange
from zoo.cli.output import print_json, print_table
from zoo.errors import visible

if TYPE_CHECKING:
    from zoo.bench.compare import Comparison, ModelComparison
    from zoo.bench.compare_performance import PerformanceComparison
    from zoo.bench.compare_quality import Correction, QualityComparison
    from zoo.bench.selection import Model


def _as_share(context: click.Context, parameter: click.Parameter, text: str) -> float:
    """``5%`` or ``0.05``."""
    try:
        share = float(text.strip().removesuffix("%")) / (100 if text.strip().endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 10:
        raise click.BadParameter(f"expected a share such as 5% or 0.05, found '{text}'", context, parameter)
    return share


@click.command("compare")
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@click.option(
    "--store",
    type=click.Path(path_type=Path),
    default=Path("leaderboard/records"),
    show_default=True,
    help="Folder of the records that names are looked up in.",
)
@click.option(
    "--alpha",
    type=FiniteRange(0, 1, min_open=True, max_open=True),
    default=0.05,
    show_default=True,
    help="False alarms about quality in this run that are put up with: see --correction.",
)
@click.option(
    "--correction",
    type=click.Choice(["holm", "fdr"]),
    default="holm",
    show_default=True,
    help="What alpha bounds: the chance of any false alarm (holm), or the share of false ones among the differences "
    "found (fdr, Benjamini and Hochberg), for stores of many models.",
)
@click.option(
    "--max-slowdown",
    callback=_as_share,
    default="5%",
    show_default=True,
    metavar="SHARE",
    help="Share by which B may be slower or larger.",
)
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="Compare by this metric; repeatable.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON (zoo.comparison/1).")
def command(
    before: str,
    after: str,
    store: Path,
    alpha: float,
    correction: Correction,
    max_slowdown: float,
    metrics: tuple[str, ...],
    as_json: bool,
) -> int:
    """Compare B with A: quality with significance, speed and memory beyond noise.

    A and B are models of the store (NAME, TASK:NAME, NAME@DATA_REVISION), ids of records, record files, or folders of
    records, whose models are paired by task and name.

    Exit status 0: no regression; 1: B is significantly worse, slower or larger beyond the margin, or without a result,
    or nothing can be compared; 2: the input is wrong.
    """
    from zoo.bench.compare import compare
    from zoo.bench.selection import side

    comparison = compare(
        side(before, store),
        side(after, store),
        alpha=alpha,
        max_slowdown=max_slowdown,
        metrics=metrics,
        correction=correction,
    )
    for problem in dict.fromkeys([*comparison.before.problems, *comparison.after.problems]):
        click.echo(f"zoo: left out {problem}", err=True)
    if as_json:
        print_json(comparison.plain())
    else:
        _print(comparison)
    return comparison.exit_status


def _print(comparison: Comparison) -> None:
    for model in comparison.models:
        _print_model(model, comparison)
    for letter, models in (("A", comparison.pairing.only_before), ("B", comparison.pairing.only_after)):
        if models:
            names = ", ".join(f"{model.standing.task}:{model.standing.name}" for model in models)
            click.echo(f"Only in {letter}: {visible(names)}")
    click.echo(visible(comparison.conclusion))


def _print_model(model: ModelComparison, comparison: Comparison) -> None:
    click.echo(f"A  {visible(_title(model.before))}")
    click.echo(f"B  {visible(_title(model.after))}")
    click.echo()
    if model.quality:
        counts = Counter(item.key.metric for item in model.quality)
        rows = [_quality_row(item, counts[item.key.metric] > 1) for item in model.quality]
        print_table(
            rows, ("QUALITY", "A", "B", "B - A", "95% INTERVAL", f"P ({comparison.correction.upper()})", "VERDICT")
        )
        click.echo()
    for device in dict.fromkeys(item.device for item in model.performance):
        measured = [item for item in model.performance if item.device == device]
        drift = next((item.drift for item in measured if item.drift is not None), None)
        moved = "no calibration on record" if drift is None else f"calibration moved by {_share(drift)}"
        click.echo(visible(f"{device.label} (margin {_share(comparison.max_slowdown)}, {moved})"))
        rows = [_performance_row(item) for item in measured]
        print_table(rows, ("SPEED AND MEMORY", "A", "B", "B / A", "95% INTERVAL", "VERDICT"))
        click.echo()
    for note in model.notes():
        click.echo(visible(note))
    if model.notes():
        click.echo()


def _title(model: Model) -> str:
    standing = model.standing
    count = len(standing.counted)
    seeds = f"seed{'' if count == 1 else 's'} {', '.join(str(record.seed) for record in standing.counted)}"
    told = "not trained here" if standing.role == "peer" else seeds
    return f"{standing.name}  {standing.task}  {told if count else standing.status}"


def _quality_row(item: QualityComparison, is_ambiguous: bool) -> tuple[str, ...]:
    name = f"{item.key.metric} [{item.key.signature}]" if is_ambiguous else item.key.metric
    finding = item.finding
    interval = "-" if finding is None or finding.interval is None else _between(finding.interval, _signed_score)
    return (
        visible(name),
        "-" if item.before is None else _score(item.before),
        "-" if item.after is None else _score(item.after),
        "-" if item.difference is None else _signed_score(item.difference),
        interval,
        "-" if item.adjusted_p_value is None else _p_value(item.adjusted_p_value),
        visible(f"{item.verdict} ({item.why})" if item.why else item.verdict),
    )


def _performance_row(item: PerformanceComparison) -> tuple[str, ...]:
    return (
        item.quantity,
        _measured(item.before, item.unit),
        _measured(item.after, item.unit),
        "-" if item.ratio is None else f"{item.ratio:.3f}",
        "-" if item.interval is None else _between(item.interval, lambda ratio: f"{ratio:.3f}"),
        f"{item.verdict} ({item.why})" if item.why else item.verdict,
    )


def _between(interval: tuple[float, float], shown: Callable[[float], str]) -> str:
    return f"[{shown(interval[0])}, {shown(interval[1])}]"


def _score(value: float) -> str:
    """Four significant digits: differences are small, and points and fractions both occur."""
    return f"{value:.2f}" if abs(value) >= 2 else f"{value:.4f}"


def _signed_score(value: float) -> str:
    return f"{value:+.3g}"


def _p_value(value: float) -> str:
    return "<.001" if value < 0.001 else f"{value:.3f}"


def _share(value: float) -> str:
    return f"{100 * value:.3g}%"


def _measured(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    if unit == "s":
        return f"{1000 * value:.4g} ms"
    if unit == "B":
        return f"{value / 2**20:.4g} MiB"
    return f"{value:.4g} {unit}"
