"""``pytest --benchmark``: one test per cell of the specs that a test file opts in to.

A test takes the fixture `zoo_cell` and names its specs, relative to its own folder::

    @pytest.mark.zoo_cells("specs/*.yaml")
    def test_cell(zoo_cell):
        zoo_cell()

Without the flag each cell is a smoke test: its model is assembled with a substitute vocabulary, makes one
training step and generates a few tokens. With it the cell is run and recorded (finished ones are not run again), and
the recorded latencies are handed to pytest-benchmark. Files called ``base*.yaml`` are for ``extends:``: no cells.

An item's id is its cell's name: the spec's, with the coordinates of its grid and, where the grid varies it, the seed.
A name that two files have is followed by ``@`` and the file.

This module is loaded in every pytest run of an environment that has zoo, so it imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from zoo.errors import ZooError

if TYPE_CHECKING:
    from zoo.bench.record import Record
    from zoo.bench.replay import Replay
    from zoo.bench.run import Runner
    from zoo.spec import Cell, Spec

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
    config.addinivalue_line("markers", "slow: takes seconds, such as compiling a model (zoo.testing)")
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
    metafunc.parametrize(
        FIXTURE,
        [pytest.param(cell, id=str(cell), marks=benchmarks.marks() if benchmarks else ()) for cell in cells],
        indirect=True,
    )


class CellName(str):
    """The id of an item, with the spec of its cell. Being a text, it is what reports show of the parameter."""

    spec: Spec

    @classmethod
    def of(cls, spec: Spec, name: str) -> CellName:
        made = cls(name)
        made.spec = spec
        return made


def _cells(folder: Path, patterns: list[str]) -> Iterator[CellName]:
    """Every cell of every spec that the patterns match, each file once, in the order of their names."""
    from zoo.spec import load_cells

    if not patterns:
        raise ZooError(f"a test with the fixture {FIXTURE} needs @pytest.mark.zoo_cells('specs/*.yaml')")
    for pattern in patterns:
        if not any(folder.glob(pattern)):
            raise ZooError(f"{folder}: no spec matches {pattern!r}")
    files = {path for pattern in patterns for path in folder.glob(pattern) if not path.name.startswith("base")}
    found = [(path, _name(cell), cell.spec) for path in sorted(files) for cell in load_cells(path)]
    holders: dict[str, set[Path]] = {}
    for path, name, _ in found:
        holders.setdefault(name, set()).add(path)
    for path, name, spec in found:
        shared = len(holders[name]) > 1
        yield CellName.of(spec, f"{name}@{path.relative_to(folder).with_suffix('')}" if shared else name)


def _name(cell: Cell) -> str:
    """The name of a cell in its file: it does not depend on which other cells there are."""
    # A grid's coordinates are in the spec's name already, all but the seed.
    varied = bool(cell.label) and not cell.spec.name.endswith(cell.label)
    return f"{cell.spec.name}+seed={cell.spec.seed}" if varied else cell.spec.name


class SmokeTests:
    """Without the flag: each cell's model works at all."""

    @pytest.fixture
    def zoo_cell(self, request: pytest.FixtureRequest) -> RunCell:
        """Assemble the cell's model and take it through one step."""

        def run() -> None:
            from zoo.bench.smoke import smoke

            smoke(request.param.spec)

        return run


class Benchmarks:
    """With the flag: each cell is run, recorded, and shown to pytest-benchmark."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self._runner: Runner | None = None
        self._machine: dict[str, Any] | None = None
        self._run: list[str] = []
        self._found: list[str] = []

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
            # The record is written before pytest-benchmark sees a number: what it then does costs us nothing.
            record, cached = self._recorded(request.param.spec)
            benchmark.extra_info.update(scalars(record), cached=cached)
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

    def _recorded(self, spec: Spec) -> tuple[Record, bool]:
        """The cell's record, and whether it was there already."""
        runner = self.runner()
        try:
            runner.run_baselines(spec)
            result = runner.run(spec)
        except ZooError as error:
            pytest.fail(f"the cell cannot be run: {error}", pytrace=False)
        (self._found if result.cached else self._run).append(result.record.id)
        return result.record, result.cached

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._runner is not None:
            terminalreporter.write_line(
                f"zoo: {len(self._run)} cells run, {len(self._found)} found on record in {self._runner.store.folder}"
            )

    @pytest.hookimpl(optionalhook=True)
    def pytest_benchmark_update_machine_info(self, config: pytest.Config, machine_info: dict[str, Any]) -> None:
        """The hardware class and the GPUs, which pytest-benchmark does not look for: what stays as it is, no clocks."""
        if self._machine is None:
            from zoo.measure.device import hardware_class
            from zoo.measure.environment import environment

            stable = ("name", "driver_version", "memory.total")
            gpus = [{fact: gpu[fact] for fact in stable if fact in gpu} for gpu in environment()["gpus"]]
            self._machine = {"hardware_class": hardware_class(), "gpus": gpus}
        machine_info["zoo"] = self._machine

    @pytest.hookimpl(optionalhook=True)
    def pytest_benchmark_compare_machine_info(
        self, machine_info: dict[str, Any], compared_benchmark: dict[str, Any]
    ) -> None:
        """Refuse, before anything is run, to set timings of one machine beside those of another."""
        ours, theirs = _hardware(machine_info), _hardware(compared_benchmark.get("machine_info"))
        if ours != theirs:
            raise pytest.UsageError(
                f"--benchmark-compare: this is '{ours}', but the saved run is of '{theirs}': timings of different "
                "hardware are not compared"
            )


def _hardware(machine_info: object) -> str:
    """Hardware class and GPUs of a report's machine_info."""
    facts = machine_info.get("zoo") if isinstance(machine_info, dict) else None
    if not isinstance(facts, dict):
        return "a machine whose GPU nobody noted"
    gpus = facts.get("gpus")
    names = [str(gpu.get("name")) for gpu in gpus if isinstance(gpu, dict)] if isinstance(gpus, list) else []
    return f"{facts.get('hardware_class')}" + (f", {len(names)} GPUs: {', '.join(names)}" if names else "")


def scalars(record: Record) -> dict[str, Any]:
    """What `extra_info` says of a record: its id, its status, and one number per measure."""
    found: dict[str, Any] = {"record": record.id, "status": record.status, "seed": record.seed}
    counts = {"parameters": record.parameters, "training_seconds": record.training_seconds}
    found.update({name: value for name, value in counts.items() if value is not None})
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
