"""`zoo bench SPEC...`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo import startup
from zoo.bench.store import new_record_id
from zoo.cli.numbers import FiniteRange
from zoo.cli.output import print_json, print_table
from zoo.cli.progress import TerminalProgress
from zoo.errors import InputError, InputErrorGroup, ZooError
from zoo.spec import Chosen, load_cells
from zoo.tasks import DataHome

if TYPE_CHECKING:
    from zoo.bench.executor import Done
    from zoo.bench.record import Record
    from zoo.bench.run import CellResult


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
@click.option("--timeout", type=FiniteRange(min=0, min_open=True), metavar="SECONDS", help="Limit of a cell.")
@click.option("--again", is_flag=True, help="Run cells that have a result already.")
@click.option(
    "--executor", metavar="NAME", help="What runs the cells: local (default), ray, ... ('zoo list executor')."
)
@click.option("--workers", type=click.IntRange(1), metavar="N", help="Run this many cells at once.")
@click.option("--address", metavar="HOST:PORT", help="The running cluster of executor ray; none: one of its own.")
@click.option(
    "--set-executor", "settings", multiple=True, metavar="OPTION=VALUE", help="Set another option of the executor."
)
@click.option(
    "--processes-per-cell",
    "processes",
    type=click.IntRange(1, 1024),
    default=1,
    metavar="N",
    help="Train each cell with N processes together, one a GPU where there are any.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    specs: tuple[Path, ...],
    store: Path,
    seeds: int,
    sets: tuple[str, ...],
    work: Path | None,
    timeout: float | None,
    again: bool,
    executor: str | None,
    workers: int | None,
    address: str | None,
    settings: tuple[str, ...],
    processes: int,
    as_json: bool,
) -> None:
    """Train, score and measure every cell of specs, each in a fresh process, and append records. A peer is scored and
    measured alone.

    A cell with a result in the store is not run again; a killed run is continued. Exit status 1 where a cell of these
    specs has no result 'ok'.
    """
    chosen = _executor(executor, {"--workers": workers, "--address": address}, settings)
    cells = [cell.spec for path in specs for cell in load_cells(path, sets)]
    from zoo.bench.executor import Settings, cell_jobs
    from zoo.bench.run import with_seeds

    startup.imported()
    for option, folder in (("--store", store), ("--work", work)):
        if folder is not None and folder.exists() and not folder.is_dir():
            raise InputError("expected a folder, found a file", where=f"{option} {folder}")
    jobs = cell_jobs(seeded for spec in cells for seeded in with_seeds(spec, seeds))
    told = Settings(
        store=store.resolve(),
        home=DataHome.default().root.resolve(),
        work=work.resolve() if work else None,
        timeout=timeout,
        again_since=new_record_id() if again else None,
        processes=processes,
    )
    with TerminalProgress() as progress:
        ended = _ended(chosen.create().run(jobs, told, progress), len(jobs), progress)
    ended.sort(key=lambda done: jobs.index(done.job))
    results = [done.result for done in ended if done.result and not (done.job.job != "model" and done.result.cached)]
    if as_json:
        print_json([{"cached": item.cached, **_summary(item.record)} for item in results])
    else:
        rows = [_row(item) for item in results]
        print_table(rows, ("MODEL", "SEED", "STATUS", "QUALITY", "LATENCY", "RECORD"))
        _print_training_costs([item.record for item in results])
    _raise_for(ended)


def _print_training_costs(records: Sequence[Record]) -> None:
    """Where cells differ in their optimizer: what each cost and reached, as on the board."""
    from zoo.bench.standings import metric_order, standings
    from zoo.site.training_costs import training_costs

    revisions: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        revisions.setdefault((record.task, record.data_revision), []).append(record)
    for each in revisions.values():
        found = standings(each)
        for table in training_costs(found, next(iter(metric_order(found)), None)):
            click.echo(f"\nWhat training costs, by optimizer at its best rate: {table.name}, on {table.device}")
            rows = [(row.label, f"{row.rate} ({row.rates} tried)", *row.cells) for row in table.rows]
            print_table(rows, ("OPTIMIZER", "RATE", *map(str.upper, table.columns)))


def _executor(name: str | None, flags: Mapping[str, object], settings: Sequence[str]) -> Chosen:
    """The executor with its options. Raises InputError for an unknown name, option or value, with the nearest."""
    from zoo.bench.executor import Setting, choose_executor

    given = [
        Setting(flag.removeprefix("--"), json.dumps(value), f"{flag} {value}")
        for flag, value in flags.items()
        if value is not None
    ]
    for text in settings:
        option, equals, value = text.partition("=")
        if not equals or not option.strip():
            raise InputError("expected OPTION=VALUE, such as gpus=1", where=f"--set-executor {text}")
        given.append(Setting(option, value, f"--set-executor {text}"))
    return choose_executor(name, given)


def _ended(running: Iterator[Done], total: int, progress: TerminalProgress) -> list[Done]:
    """Every job as it ends, told on standard error."""
    ended = []
    for done in running:
        ended.append(done)
        progress.end_line()
        click.echo(f"[{len(ended)}/{total}] {done.job.name}: {_verdict(done)}", err=True)
    return ended


def _verdict(done: Done) -> str:
    if done.result is None:
        return "not run"
    record = done.result.record
    status = _status(done.result)
    return f"{status}, {record.quality[0].metric} {record.quality[0].value:.2f}" if record.quality else status


def _raise_for(ended: list[Done]) -> None:
    """One line for each cell that could not be run and each that was recorded as a failure."""
    unrun = [(done.job, done.error) for done in ended if done.error is not None]
    of_cells = {str(error) for job, error in unrun if job.job == "model"}
    # What keeps a cell from being run keeps its controls from it too: that is said once.
    unrun = [(job, error) for job, error in unrun if job.job == "model" or str(error) not in of_cells]
    failed = [done.result.record for done in ended if done.result is not None and done.result.record.status != "ok"]
    lines = [f"{job.name}: {error}" for job, error in unrun]
    lines += [f"{_named(record)}: {record.status}: {record.error}" for record in failed]
    if unrun and not failed and all(isinstance(error, InputError) for _, error in unrun):
        raise InputErrorGroup([InputError(line) for line in lines])
    if lines:
        raise ZooError("\n".join(lines))


def _named(record: Record) -> str:
    return record.name if record.role == "peer" else f"{record.name} (seed {record.seed})"


def _summary(record: Record) -> dict[str, object]:
    return record.model_dump(mode="json", include={"id", "name", "role", "task", "seed", "status", "error", "quality"})


def _row(result: CellResult) -> tuple[str, ...]:
    record = result.record
    quality = " ".join(f"{score.metric} {score.value:.2f}" for score in record.quality)
    latency = [f"{part.latency.median * 1000:.0f} ms ({part.device})" for part in record.performance if part.latency]
    seed = "-" if record.role == "peer" else str(record.seed)
    return (record.name, seed, _status(result), quality or "-", latency[0] if latency else "-", record.id)


def _status(result: CellResult) -> str:
    return f"{result.record.status} (recorded before)" if result.cached else result.record.status
