"""`zoo export DIR --to NAME --out DIR`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import click

from zoo.cli.output import print_json
from zoo.cli.progress import TerminalProgress
from zoo.errors import InputError
from zoo.registry import current_registry
from zoo.spec.load import resolve_node
from zoo.spec.lock import LOCK_NAME, read_lock
from zoo.spec.node import Entry, Mark, mapping
from zoo.spec.options import Chosen, Options, Slot
from zoo.spec.reader import read_text
from zoo.tasks.images import Source


class _Choice(Options):
    exporter: Annotated[Chosen, Slot("exporter")]


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
    "--tolerance",
    type=click.FloatRange(min=0.0, min_open=True),
    default=1e-4,
    show_default=True,
    help="Fail where logits differ by more.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON: what export.json says.")
def command(
    directory: Path, form: str, out: Path, examples: int, file: Path | None, tolerance: float, as_json: bool
) -> None:
    """Write the model in DIR, a folder of 'zoo build' or 'zoo train', as another program reads it.

    What is written is compared with the model before it is put in place: an earlier export in the folder stays where
    that fails.
    """
    if not directory.is_dir():
        raise InputError("no such folder; expected one that 'zoo build' or 'zoo train' made", where=str(directory))
    chosen = _exporter(form)
    sources = None if file is None else _sources(file, directory)
    from zoo.export.exporting import export_model

    with TerminalProgress() as progress:
        export = export_model(
            directory, out, chosen, examples=examples, sources=sources, tolerance=tolerance, progress=progress
        )
    if as_json:
        print_json(export.model_dump())
        return
    found = export.parity or {}
    size = sum(export.sizes.values()) / 2**20
    click.echo(f"exported {export.name} to {out}: {len(export.sizes)} files, {size:.1f} MiB, opset {export.opset}")
    click.echo(
        f"on {found['examples']} sources: logits differ by {found['largest_difference']:.1g} at most, "
        f"{found['same_outputs']} greedy outputs are the same"
    )


def _exporter(text: str) -> Chosen:
    """The exporter that ``--to`` names. Raises InputError for an unknown name, option or value."""
    where = f"--to {text}"
    node = read_text(text, where, place=False)
    root = mapping({"exporter": Entry(Mark(where), node)}, Mark(where))
    return resolve_node(root, _Choice, current_registry()).exporter


def _sources(file: Path, directory: Path) -> list[Source]:
    """What `file` holds for the model in `directory`: texts, where it says nothing of itself."""
    from zoo.export.sources import read_sources

    lock = directory / LOCK_NAME
    return read_sources(file, "image" if lock.is_file() and read_lock(lock).spec.model.reads_images else "text")
