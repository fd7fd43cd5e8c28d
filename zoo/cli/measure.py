"""`zoo measure DIR...`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo import startup
from zoo.cli.output import print_json, print_table
from zoo.cli.progress import TerminalProgress
from zoo.errors import InputError

if TYPE_CHECKING:
    from zoo.measure import Measured, Performance
    from zoo.measure.interleaved import Comparison
    from zoo.spec import Spec
    from zoo.spec.sections import MeasurementSection
    from zoo.tasks.contracts import Progress

SENTENCES = 20
"""As many as `zoo bench` measures with, and spread as evenly over the evaluated examples."""
_LARGEST_FILE = 10 * 2**20


@click.command("measure")
@click.argument("directories", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="DIR...")
@click.option(
    "--processes", type=click.IntRange(1, 100), help="Fresh processes of each model. Default: the spec's, or 5."
)
@click.option("--samples", type=click.IntRange(1, 100_000), help="Timed calls in each process. Default: the spec's.")
@click.option(
    "--batch", "batches", multiple=True, type=click.IntRange(min=1), help="Batch size of throughput; repeatable."
)
@click.option(
    "--sentences",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help=f"Sources to measure with, one a line. Default: {SENTENCES} of the spec's evaluation split.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, every sample included.")
def command(
    directories: tuple[Path, ...],
    processes: int | None,
    samples: int | None,
    batches: tuple[int, ...],
    sentences: Path | None,
    as_json: bool,
) -> None:
    """Measure the model in DIR, a folder of 'zoo build' or 'zoo train', in fresh processes.

    Several folders are measured in turn, process by process, and each is compared with the first. Nothing is recorded.
    """
    for directory in directories:
        if not directory.is_dir():
            raise InputError("no such folder; expected one that 'zoo build' or 'zoo train' made", where=str(directory))
    texts = None if sentences is None else _lines(sentences)
    from zoo.measure.performance import measure_performances, probe_request
    from zoo.spec.sections import MeasurementSection
    from zoo.training import load_run

    startup.imported()
    specs = [load_run(directory).spec for directory in directories]
    if texts is not None and any(spec.model.reads != "text" for spec in specs):
        raise InputError(
            "the model reads images: it is measured with those of its task", where=f"--sentences {sentences}"
        )
    # A spec that has nothing timed in a sweep (0) does not mean that nobody may ask.
    processes = processes or specs[0].measurement.processes or MeasurementSection().processes
    changes = {"processes": processes, "latency_samples": samples, "throughput_batches": sorted(set(batches)) or None}
    measurement = specs[0].measurement.model_copy(
        update={name: value for name, value in changes.items() if value is not None}
    )
    with TerminalProgress() as progress:
        texts = texts or _sentences_of(directories, specs, progress)
        requests = [
            probe_request(directory.resolve(), texts, spec.model_copy(update={"measurement": measurement}))
            for directory, spec in zip(directories, specs, strict=True)
        ]
        found = measure_performances(requests, progress=progress)
    comparisons = _comparisons(found)
    if as_json:
        print_json(_document(directories, specs, found, comparisons))
        return
    for directory, spec, performance in zip(directories, specs, found, strict=True):
        _report(directory, spec, performance)
    _report_machine(found[0], measurement)
    for directory, rows in zip(directories[1:], comparisons, strict=True):
        _report_comparison(directories[0], directory, rows)


def _lines(file: Path) -> list[str]:
    """The lines of a text file that hold something. Raises InputError where there are none."""
    try:
        with file.open("rb") as stream:
            data = stream.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=f"--sentences {file}") from None
    if len(data) > _LARGEST_FILE:
        raise InputError(f"larger than {_LARGEST_FILE // 2**20} MB: give a sample of it", where=f"--sentences {file}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 at byte {error.start}", where=f"--sentences {file}") from None
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise InputError("expected one sentence a line, found none", where=f"--sentences {file}")
    return lines


def _sentences_of(directories: tuple[Path, ...], specs: list[Spec], progress: Progress) -> list[Any]:
    """Sources of the task that all specs have. Raises InputError where they have several."""
    from zoo.measure import evaluation_examples
    from zoo.measure.evaluate import shown_examples
    from zoo.measure.reading import source_of
    from zoo.tasks import DataHome

    for directory, spec in zip(directories, specs, strict=True):
        if spec.task.plain() != specs[0].task.plain():
            raise InputError(
                f"its task is not that of {directories[0]}: give the sentences to measure both with (--sentences FILE)",
                where=str(directory),
            )
    task = specs[0].task.create().prepare(DataHome.default(), progress)
    return [source_of(example) for example in shown_examples(evaluation_examples(task, specs[0]))]


def _comparisons(found: list[Performance]) -> list[list[Comparison]]:
    """Each model but the first against the first."""
    from zoo.measure.interleaved import compared

    first = found[0].clocks.quantities()
    return [compared(first, other.clocks.quantities()) for other in found[1:]]


def _document(
    directories: tuple[Path, ...], specs: list[Spec], found: list[Performance], comparisons: list[list[Comparison]]
) -> dict[str, Any]:
    from zoo.bench.outcome import machine_facts, performance_of

    models = [
        {
            "directory": str(directory),
            "name": spec.name,
            "performance": performance_of(performance).model_dump(mode="json"),
        }
        for directory, spec, performance in zip(directories, specs, found, strict=True)
    ]
    against = [
        {
            "directory": str(directory),
            "against": str(directories[0]),
            "quantities": [
                {"quantity": row.quantity, "ratio": row.ratio, "interval": row.interval, "verdict": row.verdict}
                for row in rows
            ],
        }
        for directory, rows in zip(directories[1:], comparisons, strict=True)
    ]
    return {"models": models, "comparisons": against, "machine": machine_facts(found[0])}


def _report(directory: Path, spec: Spec, performance: Performance) -> None:
    clocks = performance.clocks
    threads = f"{performance.threads} thread{'s' if performance.threads > 1 else ''}"
    click.echo(
        f"{directory} ({spec.name}) on {performance.device}, {threads}, {clocks.dtype}, attention {clocks.attention}"
    )
    rows = [_row(name, measured) for name, measured in clocks.quantities().items()]
    print_table(rows, ("SECONDS", "MEDIAN", "LEAST", "MOST", "P90", "P99", "PROCESSES", "SAMPLES", "WARM-UP"))
    click.echo("")
    print_table(list(_capacity_rows(performance)), ("QUANTITY", "VALUE"))
    click.echo("")


def _row(name: str, measured: Measured) -> tuple[str, ...]:
    spread = f"{min(measured.processes):.4g} to {max(measured.processes):.4g}"
    times = (measured.median, measured.minimum, measured.maximum, measured.p90, measured.p99)
    return (
        name.replace("_", " "),
        *("-" if value is None else f"{value:.4g}" for value in times),
        f"{len(measured.processes)} ({spread})",
        str(len(measured.values)),
        str(max(measured.warmup)),
    )


def _capacity_rows(performance: Performance) -> Iterator[tuple[str, str]]:
    for rate in performance.throughput:
        known = f"{rate.sentences_per_second or 0:.1f} outputs/s"
        if rate.tokens_per_second is not None:
            known = f"{rate.tokens_per_second:.0f} tokens/s, {known}"
        value = {"ok": known, "oom": "out of memory", "untried": "not tried: a smaller batch was too large"}
        yield f"throughput, batch {rate.batch}", value[rate.status]
    memory = performance.memory
    if memory is not None:
        kind = "resident set" if memory.kind == "rss" else "allocated"
        parts = [f"{_megabytes(memory.peak)} {kind} at most", f"{_megabytes(memory.after_load)} when loaded"]
        parts += [] if memory.reserved is None else [f"{_megabytes(memory.reserved)} reserved"]
        parts += [] if memory.device is None else [f"{_megabytes(memory.device)} on the device"]
        yield f"memory, batch {memory.batch}", ", ".join(parts)
    energy = performance.energy
    if energy is not None:
        watts = energy.joules / energy.seconds
        yield "energy (experimental)", f"{energy.joules / max(1, energy.tokens):.3g} J a token, {watts:.0f} W"


def _report_machine(performance: Performance, measurement: MeasurementSection) -> None:
    if performance.device_kind == "cpu":
        click.echo("No GPU: everything ran on the CPU; device time and energy were not measured.")
    calibration = performance.calibration
    change = calibration.after / calibration.before - 1
    click.echo(
        f"Calibration ({calibration.kernel}): {calibration.before:.4g} s before, {calibration.after:.4g} s after "
        f"({change:+.1%})"
    )
    for name, states in performance.machine.items():
        others = {
            str(process.get("name", process["pid"]))
            for state in states.values()
            for process in state.get("other_processes", ())
        }
        if others:
            click.echo(f"Others at work on the {name.upper()}: {', '.join(sorted(others))}")
        reasons = {reason for state in states.values() for reason in state.get("throttled_by", ())} - {"idle"}
        if reasons:
            click.echo(f"Clocks of the {name.upper()} held down by: {', '.join(sorted(reasons))}")
    if measurement.processes < 5:
        click.echo("Fewer than 5 processes: what differs from process to process is hardly seen.")


def _report_comparison(first: Path, second: Path, rows: list[Comparison]) -> None:
    click.echo(f"\n{second} against {first}, in turn:")
    table = [
        (
            row.quantity.replace("_", " "),
            f"{row.ratio:.3f}",
            "-" if row.interval is None else f"{row.interval[0]:.3f} to {row.interval[1]:.3f}",
            row.verdict,
        )
        for row in rows
    ]
    print_table(table, ("QUANTITY", "RATIO", "INTERVAL", "VERDICT"))


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
