"""``pytest --benchmark``: one test per cell of the specs that a test file opts in to.

A test takes the fixture `zoo_cell` and names its specs, relative to its own folder::

    @pytest.mark.zoo_cells("specs/*.yaml")
    def test_cell(zoo_cell):
        zoo_cell()

Without the flag each cell is a smoke test: its model is assembled with a substitute vocabulary, makes one
training step and generates a few tokens. With it the cell is run and recorded (finished ones are not run again), and
the recorded latencies are handed to pytest-benchmark. Files called ``base*.yaml`` are for ``extends:``: no cells.

This module is loaded in every pytest run of an environment that has zoo, so it imports nothing heavy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from zoo.errors import ZooError

if TYPE_CHECKING:
    from zoo.bench.record import Record
    from zoo.bench.replay import Replay
    from zoo.bench.run import Runner
    from zoo.spec import Spec

RunCell = Callable[[], "Record | None"]
FIXTURE = "zoo_cell"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("zoo", "benchmark cells of zoo")
    group.addoption(
        "--benchmark", action="store_true", help="Run benchmark cells and write records (else they are smoke tests)."
    )
    group.addoption(
        "--benchmark-strict", action="store_true", help="A cell whose record is not 'ok' fails (else it is an xfail)."
    )
    group.addoption(
        "--zoo-store", metavar="DIR", help="Folder of the records. Default: ini 'zoo_store', or leaderboard/records."
    )
    group.addoption("--zoo-work", metavar="DIR", help="Folder of the cells' runs. Default: cells/ in ZOO_HOME.")
    parser.addini("zoo_store", "folder of benchmark records, relative to the root", default="leaderboard/records")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "zoo_cells(*patterns): specs whose cells the fixture zoo_cell runs")
    if not config.getoption("benchmark"):
        if config.getoption("benchmark_strict"):
            raise pytest.UsageError("--benchmark-strict: expected together with --benchmark")
        config.pluginmanager.register(SmokeTests(), "zoo-smoke")
        return
    if not config.pluginmanager.hasplugin("benchmark"):
        raise pytest.UsageError("--benchmark needs pytest-benchmark: pip install 'zoo-registry[bench]'")
    if config.getoption("numprocesses", None) or hasattr(config, "workerinput"):
        raise pytest.UsageError("--benchmark measures one cell at a time: leave out -n")
    config.pluginmanager.register(Benchmarks(config), "zoo-benchmarks")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if FIXTURE not in metafunc.fixturenames:
        return
    patterns = [pattern for marker in metafunc.definition.iter_markers("zoo_cells") for pattern in marker.args]
    try:
        cells = list(_cells(metafunc.definition.path.parent, patterns))
    except ZooError as error:
        raise pytest.Collector.CollectError(str(error)) from None
    benchmarks = metafunc.config.pluginmanager.get_plugin("zoo-benchmarks")
    names = Counter(spec.name for spec in cells)
    metafunc.parametrize(
        FIXTURE,
        [
            pytest.param(
                spec,
                id=spec.name if names[spec.name] == 1 else f"{spec.name}+seed={spec.seed}",
                marks=benchmarks.marks() if benchmarks else (),
            )
            for spec in cells
        ],
        indirect=True,
    )


def _cells(folder: Path, patterns: list[str]) -> Iterator[Spec]:
    """Every cell of every spec that the patterns match, each file once, in the order of their names."""
    from zoo.spec import load_cells

    if not patterns:
        raise ZooError(f"a test with the fixture {FIXTURE} needs @pytest.mark.zoo_cells('specs/*.yaml')")
    for pattern in patterns:
        if not any(folder.glob(pattern)):
            raise ZooError(f"{folder}: no spec matches {pattern!r}")
    files = {path for pattern in patterns for path in folder.glob(pattern) if not path.name.startswith("base")}
    for path in sorted(files):
        for cell in load_cells(path):
            yield cell.spec


class SmokeTests:
    """Without the flag: each cell's model works at all."""

    @pytest.fixture
    def zoo_cell(self, request: pytest.FixtureRequest) -> RunCell:
        """Assemble the cell's model and take it through one step."""

        def run() -> None:
            from zoo.bench.smoke import smoke

            smoke(request.param)

        return run


class Benchmarks:
    """With the flag: each cell is run, recorded, and shown to pytest-benchmark."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self._runner: Runner | None = None

    def runner(self) -> Runner:
        """One for a session, so that a task is prepared once. (A property would be read by the search for fixtures.)"""
        if self._runner is None:
            from zoo.bench.run import Runner
            from zoo.bench.store import RecordStore

            chosen = self.config.getoption("zoo_store")
            folder = Path(chosen) if chosen else self.config.rootpath / self.config.getini("zoo_store")
            work = self.config.getoption("zoo_work")
            self._runner = Runner(RecordStore(folder), work=Path(work) if work else None)
        return self._runner

    def marks(self) -> list[pytest.MarkDecorator]:
        """An item's marks: the clock that replays its samples must be known before the fixture `benchmark` is made."""
        from zoo.bench.replay import Replay

        return [pytest.mark.benchmark(timer=Replay())]

    @pytest.fixture
    def zoo_cell(self, request: pytest.FixtureRequest, benchmark: Any) -> RunCell:
        """Run the cell, or find its record; then report it."""
        replay: Replay = request.node.get_closest_marker("benchmark").kwargs["timer"]

        def run() -> Record:
            self.runner().run_baselines(request.param)
            # The record is written before pytest-benchmark sees a number: what it then does costs us nothing.
            record = self.runner().run(request.param).record
            benchmark.extra_info.update(scalars(record))
            benchmark.group = record.task
            latency = next((part.latency for part in record.performance if part.latency), None)
            if latency is not None and latency.values:
                replay.feed(benchmark, latency.values)
            if record.status != "ok":
                message = f"recorded as {record.status}: {record.error} ({record.id})"
                if self.config.getoption("benchmark_strict"):
                    pytest.fail(message, pytrace=False)
                pytest.xfail(message)
            return record

        return run

    @pytest.hookimpl(optionalhook=True)
    def pytest_benchmark_update_machine_info(self, config: pytest.Config, machine_info: dict[str, Any]) -> None:
        """The GPU, which pytest-benchmark does not look for."""
        from zoo.measure import environment, hardware_class

        machine_info["zoo"] = {"hardware_class": hardware_class(), "gpus": environment()["gpus"]}


def scalars(record: Record) -> dict[str, Any]:
    """What `extra_info` says of a record: its id, its status, and one number per measure."""
    found: dict[str, Any] = {"record": record.id, "status": record.status, "seed": record.seed}
    found.update({f"quality.{score.metric}": score.value for score in record.quality})
    found.update({f"probe.{name}": value for name, value in record.probes.items()})
    for part in record.performance:
        for rate in part.throughput:
            if rate.tokens_per_second is not None:
                found[f"{part.device_kind}.tokens_per_second.batch_{rate.batch}"] = rate.tokens_per_second
        if part.memory is not None:
            found[f"{part.device_kind}.peak_memory_bytes"] = part.memory.peak
        if part.training_tokens_per_second is not None:
            found[f"{part.device_kind}.training_tokens_per_second"] = part.training_tokens_per_second
    return found
