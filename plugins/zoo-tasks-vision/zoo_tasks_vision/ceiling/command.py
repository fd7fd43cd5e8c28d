"""`zoo ceiling SPEC`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import click
from pydantic import Field

from zoo.cli.output import print_json, print_table
from zoo.cli.progress import TerminalProgress
from zoo.errors import InputError
from zoo.spec.load import resolve_node
from zoo.spec.node import mapping
from zoo.spec.options import Chosen, Options, Slot
from zoo.spec.overlay import apply_sets, read_extended
from zoo.tasks import DataHome


class _TaskOf(Options):
    task: Annotated[Chosen, Slot("task")] = Field(description="The task of the file")


@click.command("ceiling")
@click.argument("spec", type=click.Path(path_type=Path))
@click.option("--set", "sets", multiple=True, metavar="PATH=VALUE", help="Set a value of the spec (task.seed=2).")
@click.option("--split", type=click.Choice(["train", "dev", "test"]), default="test", show_default=True)
@click.option("--size", type=click.IntRange(16), metavar="PIXELS", help="Long side that images are brought to.")
@click.option(
    "--stride",
    "strides",
    type=click.IntRange(1, 512),
    multiple=True,
    default=(8, 16, 32),
    show_default=True,
    help="Of a level; repeatable.",
)
@click.option(
    "--reg-max",
    type=click.IntRange(0),
    default=16,
    show_default=True,
    metavar="BINS",
    help="Bins of a distance, the first of which is 0: it ends at a stride less. 0: no limit.",
)
@click.option(
    "--side-floor",
    type=click.FloatRange(0, 64),
    default=0.0,
    show_default=True,
    metavar="STRIDES",
    help="Smaller sides count as so many strides when anchors are looked for.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(
    spec: Path,
    sets: tuple[str, ...],
    split: Any,
    size: int | None,
    strides: tuple[int, ...],
    reg_max: int,
    side_floor: float,
    as_json: bool,
) -> None:
    """What an anchor-free detector can reach at the most on a task's boxes, without training one.

    SPEC is a spec, or a file with the section 'task' alone. For each box the best one is taken that any anchor inside
    it can give; see plugins/zoo-tasks-vision/README.md for the definition.
    """
    from zoo_tasks_vision.ceiling.assignment import Head
    from zoo_tasks_vision.ceiling.report import ceiling_report

    root = apply_sets(read_extended(spec), sets)
    entry = (root.entries or {}).get("task")
    if entry is None:
        raise InputError("no section 'task'", where=str(root.mark))
    task = resolve_node(mapping({"task": entry}, root.mark), _TaskOf, None).task.create()
    if reg_max == 1:
        raise InputError("expected at least 2 bins, or 0 for no limit", where="--reg-max 1")
    head = Head(tuple(sorted(strides)), reg_max or None, side_floor)
    with TerminalProgress() as progress:
        prepared = task.prepare(DataHome.default(), progress)
    if prepared.outputs != "detections":
        raise InputError(f"task {task.name} is none of detection", where=str(entry.node.mark))
    report = {"task": task.name, "revision": prepared.revision, "split": split}
    report |= ceiling_report(prepared.examples(split), head, size=size)
    if as_json:
        print_json(report)
        return
    rows = [("all", report["all"]), *report["by_size"].items()]
    columns = ("boxes", "mean_iou", "without_candidate", "iou_0.5", "iou_0.75", "iou_0.9")
    print_table(
        [[name, str(row["boxes"]), *(f"{row[column]:.3f}" for column in columns[1:])] for name, row in rows],
        ("BOXES", "NUMBER", "MEAN IOU", "NO CANDIDATE", "IOU .5", "IOU .75", "IOU .9"),
    )
