"""`zoo bench SPEC...`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.bench.store import RecordStore
from zoo.cli.output import print_json, print_table
from zoo.cli.progress import TerminalProgress
from zoo.errors import InputError, InputErrorGroup, ZooError
from zoo.spec import load_cells

if TYPE_CHECKING:
    from zoo.bench.record import Record
    from zoo.bench.run import CellResult
    from zoo.spec import Spec


class SpecsOrComparison(click.Command):
    """`zoo bench SPEC...`, or `zoo bench compare A B`; a spec whose file is called compare is ./compare."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        if args[:1] == ["compare"]:
            from zoo.cli.bench_compare import command as compare

            return compare.make_context(f"{info_name} compare", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([("compare A B", "Compare two models, records, files or folders of records.")])


@click.command("bench", cls=SpecsOrComparison)
@click.argument("specs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="SPEC...")
@click.option(
    "--store",
    type=click.Path(path_type=Path),
    default=Path("leaderboard/records"),
    show_default=True,
    help="Folder of the records.",
)
@click.option("--seeds", type=click.IntRange(1, 1000), default=1, help="Run each cell with this many seeds.")
@click.option("--set", "sets", multiple=True, metavar="PATH=VALUE", help="Set one value, such as model.heads=8.")
@click.option("--work", type=click.Path(path_type=Path), help="Folder of the runs. Default: cells/ in ZOO_HOME.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="Limit of a cell.")
@click.option("--again", is_flag=True, help="Run cells that have a result already.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    specs: tuple[Path, ...],
    store: Path,
    seeds: int,
    sets: tuple[str, ...],
    work: Path | None,
    timeout: float | None,
    again: bool,
    as_json: bool,
) -> None:
    """Train, score and measure every cell of specs, each in a fresh process, and append records.

    A cell with a result in the store is not run again; a killed run is continued. Exit status 1 where a cell of these
    specs has no result 'ok'.
    """
    cells = [cell.spec for path in specs for cell in load_cells(path, sets)]
    from zoo.bench.run import Runner, with_seeds

    chosen = [seeded for spec in cells for seeded in with_seeds(spec, seeds)]
    results: list[CellResult] = []
    unrun: list[tuple[Spec, ZooError]] = []
    with TerminalProgress() as progress:
        runner = Runner(RecordStore(store), work=work, timeout=timeout, again=again, progress=progress)
        for number, spec in enumerate(chosen, start=1):
            click.echo(f"[{number}/{len(chosen)}] {spec.name} (seed {spec.seed})", err=True)
            try:
                results += [result for result in runner.run_baselines(spec) if not result.cached]
                results.append(runner.run(spec))
            except ZooError as error:  # one cell that cannot be run costs its row, not the others'
                unrun.append((spec, error))
    if as_json:
        print_json([{"cached": item.cached, **_summary(item.record)} for item in results])
    else:
        rows = [_row(item) for item in results]
        print_table(rows, ("MODEL", "SEED", "STATUS", "QUALITY", "LATENCY", "RECORD"))
    _raise_for(unrun, [item.record for item in results if item.record.status != "ok"])


def _raise_for(unrun: list[tuple[Spec, ZooError]], failed: list[Record]) -> None:
    """One line for each cell that could not be run and each that was recorded as a failure."""
    lines = [f"{spec.name} (seed {spec.seed}): {error}" for spec, error in unrun]
    lines += [f"{record.name} (seed {record.seed}): {record.status}: {record.error}" for record in failed]
    if unrun and not failed and all(isinstance(error, InputError) for _, error in unrun):
        raise InputErrorGroup([InputError(line) for line in lines])
    if lines:
        raise ZooError("\n".join(lines))


def _summary(record: Record) -> dict[str, object]:
    return record.model_dump(mode="json", include={"id", "name", "role", "task", "seed", "status", "error", "quality"})


def _row(result: CellResult) -> tuple[str, ...]:
    record = result.record
    quality = " ".join(f"{score.metric} {score.value:.2f}" for score in record.quality)
    latency = [f"{part.latency.median * 1000:.0f} ms ({part.device})" for part in record.performance if part.latency]
    status = f"{record.status} (recorded before)" if result.cached else record.status
    return (record.name, str(record.seed), status, quality or "-", latency[0] if latency else "-", record.id)
