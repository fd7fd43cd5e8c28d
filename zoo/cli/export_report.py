"""How an export compares with its model, as tables."""

from __future__ import annotations

import json
import shlex

import click

from zoo.cli.output import print_table
from zoo.export.contracts import KEEP
from zoo.export.report import LayerSensitivity, MetricDrop, ParityReport
from zoo.spec.options import Chosen

_METRICS = ("METRIC", "TORCH", "EXPORT", "DROP", "95% INTERVAL", "ALLOWED")
SHOWN = 10
"""Layers of the ranking that are printed; the report has all."""


def print_report(report: ParityReport, *, sensitivity: bool) -> None:
    """Print what was compared; with `sensitivity` also what each layer does."""
    largest = _digits(report.largest_difference)
    mean = "" if report.mean_difference is None else f", {report.mean_difference:.1g} on average"
    click.echo(
        f"on {report.examples} examples of {report.taken_from} {report.compared} differ by {largest} at most{mean}"
    )
    click.echo()
    print_table([(row.decoding, f"{row.same} of {report.examples}") for row in report.outputs], ("OUTPUTS", "SAME"))
    if report.metrics:
        click.echo()
        print_table([_drop(row) for row in report.metrics], _METRICS)
    if sensitivity:
        click.echo()
        _print_layers(report)
    if report.notes:
        click.echo()
    for note in report.notes:
        click.echo(f"note: {note}")


def print_remedy(report: ParityReport, chosen: Chosen) -> None:
    """Print what to ask for in the place of what was `chosen`, where something is known to help."""
    if report.remedy is None:
        return
    if report.remedy.drops:
        click.echo()
        click.echo("with the worst layers in float32:")
        print_table([_drop(row) for row in report.remedy.drops], _METRICS)
    click.echo()
    asked_for = json.dumps({**chosen.plain(), KEEP: report.remedy.keep_float32})  # JSON is YAML
    click.echo(f"--to {shlex.quote(asked_for)}")


def _print_layers(report: ParityReport) -> None:
    if not report.changed_layers:
        click.echo("all layers are in float32: none of them does anything to the outputs")
        return
    if not report.sensitivity:
        click.echo("which layers do harm is not known: the exporter cannot leave some in float32")
        return
    shown = report.sensitivity[:SHOWN]
    diverges = any(row.divergence is not None for row in report.sensitivity)
    measure = "DIVERGENCE" if diverges else "MEAN DIFFERENCE"  # what they are ranked by
    print_table([_layer(row, diverges) for row in shown], ("LAYERS CHANGED ALONE", measure, "LARGEST DIFFERENCE"))
    more = len(report.sensitivity) - len(shown)
    if more:
        click.echo(f"and {more} less harmful")


def _layer(row: LayerSensitivity, diverges: bool) -> tuple[str, ...]:
    measured = row.divergence if diverges else row.mean_difference
    return row.layers, "-" if measured is None else f"{measured:.2g}", _digits(row.largest_difference)


def _digits(difference: float | None) -> str:
    return "without bound" if difference is None else f"{difference:.2g}"


def _drop(row: MetricDrop) -> tuple[str, ...]:
    interval = "-" if row.interval is None else " to ".join(_number(end, row.unit) for end in row.interval)
    allowed = "any" if row.max_drop is None else f"{row.max_drop:g}"
    values = (row.torch, row.export, row.drop)
    return row.metric, *("-" if value is None else _number(value, row.unit) for value in values), interval, allowed


def _number(value: float, unit: str) -> str:
    found = f"{value:.2f}" if unit == "points" else f"{value:.4f}"
    return found.removeprefix("-") if not float(found) else found
