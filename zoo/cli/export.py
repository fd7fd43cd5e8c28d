"""`zoo export DIR --to NAME --out DIR`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import click

from zoo import startup
from zoo.cli.output import print_json
from zoo.cli.progress import TerminalProgress
from zoo.errors import InputError
from zoo.export.presets import settled, told
from zoo.registry import current_registry
from zoo.spec.load import resolve_node
from zoo.spec.lock import LOCK_NAME, read_lock
from zoo.spec.node import Entry, Mark, mapping
from zoo.spec.options import Chosen, Options, Slot
from zoo.spec.reader import read_text
from zoo.tasks.images import Source


class _Choice(Options):
    exporter: Annotated[Chosen, Slot("exporter")]


class _ChosenMetric(Options):
    metric: Annotated[Chosen, Slot("metric")]


@click.command("export")
@click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")
@click.option(
    "--to",
    "form",
    default="onnx",
    show_default=True,
    metavar="NAME",
    help="The form: 'zoo list exporter'; with options '{use: onnx, opset: 20}'.",
)
@click.option(
    "--preset",
    metavar="NAME",
    help="Options for a purpose: safe (float32), cpu-fast (8 bits), cpu-small (4 bits), edge (8 bits on any processor, "
    "one thread), gpu (float16), or auto, which takes the one that fits --target. Each decision is printed with its "
    "reason. What --to says itself stays. Default: safe; with --target, auto.",
)
@click.option(
    "--target",
    metavar="MACHINE",
    help="Where it will run: this-machine, which is tried, avx2, avx512-vnni, avx-vnni, arm or cuda. Without it, this "
    "machine decides what the preset leaves open.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Folder to write.")
@click.option(
    "--examples",
    type=click.IntRange(min=1),
    default=200,
    show_default=True,
    help="Compare on the first N of the development split.",
)
@click.option(
    "--sources",
    "file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Compare on the lines of FILE instead, where the data is not at hand; for a model that reads images, a folder "
    "of them or a list of their paths.",
)
@click.option(
    "--references",
    "references_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The texts that are right for --sources, line by line: without them, quality is not measured there.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0.0, min_open=True),
    default=1e-4,
    show_default=True,
    help="Fail where logits of an export that is in float32 throughout differ by more; its greedy outputs must be the "
    "same. Nothing of the kind is asked of int8 and its like: see --max-drop.",
)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME",
    help="Score both with this metric in the place of the spec's: 'zoo list metric'; with options '{use: NAME, ...}'; "
    "repeatable.",
)
@click.option(
    "--max-drop",
    "drops",
    multiple=True,
    metavar="[METRIC=]DROP",
    help="Fail where the export scores worse than the model by more than DROP, in the metric's own unit: of the first "
    "metric, or of the one that is named; repeatable. Default: of the first metric 1 point, or 0.01 where its scale "
    "ends at 1. The score itself counts, not its interval, which is printed: more --examples make it narrower.",
)
@click.option(
    "--sensitivity",
    is_flag=True,
    help="Print what each layer does that is in less than float32; without it, only of an export that fails.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON: what export.json says.")
def command(
    directory: Path,
    form: str,
    preset: str | None,
    target: str | None,
    out: Path,
    examples: int,
    file: Path | None,
    references_file: Path | None,
    tolerance: float,
    metrics: tuple[str, ...],
    drops: tuple[str, ...],
    sensitivity: bool,
    as_json: bool,
) -> None:
    """Write the model in DIR, a folder of 'zoo build' or 'zoo train', as another program reads it; or a plain seq2seq
    model of transformers (Marian, BART, M2M100, T5), compared on --sources.

    What is written is compared with the model before it is put in place: logits, outputs, and the spec's metrics on
    both. An earlier export in the folder stays where that fails.
    """
    if not directory.is_dir():
        raise InputError("no such folder; expected one that 'zoo build' or 'zoo train' made", where=str(directory))
    chosen, threads, decisions = settled(_exporter(form), preset, target)
    sources = None if file is None else _sources(file, directory)
    references = None if references_file is None else _references(references_file, file)
    max_drop = _max_drop(drops)
    scored_by = [_resolved(_ChosenMetric, "metric", "--metric", name) for name in metrics] or None
    if not as_json:
        for line in told(decisions):
            click.echo(line)
    from zoo.cli.export_report import print_remedy, print_report
    from zoo.export.exporting import export_model
    from zoo.export.quality import DroppedError, MaxDrop

    startup.imported()

    try:
        with TerminalProgress() as progress:
            export = export_model(
                directory,
                out,
                chosen,
                examples=examples,
                sources=sources,
                references=references,
                taken_from="" if file is None else file.name,
                tolerance=tolerance,
                metrics=scored_by,
                max_drop=MaxDrop(*max_drop),
                sensitivity=sensitivity,
                threads=threads,
                decisions=decisions,
                progress=progress,
            )
    except DroppedError as error:
        if as_json:
            print_json({"exported": False, "parity": error.report.model_dump()})
        else:
            print_report(error.report, sensitivity=True)
            print_remedy(error.report, chosen)
        raise
    if as_json:
        print_json(export.model_dump())
        return
    for line in told(export.decisions[len(decisions) :]):
        click.echo(line)
    size = sum(export.sizes.values()) / 2**20
    form = export.kind if export.opset is None else f"{export.kind} opset {export.opset}"
    files = f"{len(export.sizes)} files, {size:.1f} MiB"
    click.echo(f"exported {export.name} to {out}: {files}, {form}, {export.weights}")
    for note in export.notes:
        click.echo(f"note: {note}")
    assert export.parity is not None  # it is what was asked for
    print_report(export.parity, sensitivity=sensitivity)


def _exporter(text: str) -> Chosen:
    """The exporter that ``--to`` names. Raises InputError for an unknown name, option or value."""
    return _resolved(_Choice, "exporter", "--to", text)


def _resolved(choice: type[Options], slot: str, option: str, text: str) -> Chosen:
    """The component that `text`, the value of an `option`, names."""
    where = f"{option} {text}"
    node = read_text(text, where, place=False)
    root = mapping({slot: Entry(Mark(where), node)}, Mark(where))
    chosen: Chosen = getattr(resolve_node(root, choice, current_registry()), slot)
    return chosen


def _sources(file: Path, directory: Path) -> list[Source]:
    """What `file` holds for the model in `directory`: texts, where it says nothing of itself."""
    from zoo.export.sources import read_sources

    lock = directory / LOCK_NAME
    return read_sources(file, "image" if lock.is_file() and read_lock(lock).spec.model.reads_images else "text")


def _references(file: Path, sources: Path | None) -> list[str]:
    from zoo.export.sources import read_references

    if sources is None:
        raise InputError("--references: of which sources? Give --sources, too; the spec's own data has its references")
    return read_references(file, sources)


def _max_drop(given: Sequence[str]) -> tuple[float | None, dict[str, float]]:
    """What ``--max-drop`` allows the first metric, and others by their names."""
    first: float | None = None
    named: dict[str, float] = {}
    for text in given:
        name, equals, number = text.rpartition("=")
        try:
            drop = float(number)
        except ValueError:
            drop = math.nan
        if not math.isfinite(drop) or drop < 0 or (equals and not name):
            raise InputError(f"--max-drop {text}: expected a number from 0 up, or NAME=NUMBER")
        if (name in named) if name else (first is not None):
            raise InputError(f"--max-drop {text}: given twice")
        if name:
            named[name] = drop
        else:
            first = drop
    return first, named
