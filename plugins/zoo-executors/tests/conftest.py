"""A sweep of small cells on the command line, and what can be seen of it from outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from zoo.bench import Record, RecordStore

SMOKE = Path(__file__).parents[3] / "benchmarks" / "specs" / "smoke.yaml"
MARK = "ZOO_TEST_SWEEP"

WITNESS = '''
"""A plugin that writes a line when a cell's training begins, and one at each of its checkpoints' steps."""

import os
import time

from zoo.registry import hookimpl


@hookimpl
def zoo_training_callbacks(context):
    from transformers import TrainerCallback

    class Witness(TrainerCallback):
        def tell(self, what):
            with open(os.environ["ZOO_TEST_WITNESS"], "a") as file:
                rate = context.spec.training.optimizer.options.lr
                file.write(f"{context.spec.seed} {rate:g} {what}\\n")

        def on_train_begin(self, args, state, control, **kwargs):
            self.tell("begins")

        def on_step_end(self, args, state, control, **kwargs):
            time.sleep(float(os.environ.get("ZOO_TEST_SLOWNESS", "0")))

    return [Witness()]
'''


@dataclass
class Sweep:
    """One spec, run by `zoo bench` in processes that carry a mark."""

    folder: Path
    options: tuple[str, ...]
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)

    def write(self, grid: dict[str, list[float]]) -> int:
        """Write the spec; returns the number of its cells."""
        spec = {
            "extends": str(SMOKE),
            "name": "sweep",
            "task": {"corpus": {"pairs": 300}},
            "evaluation": {"max_examples": 12},
            "model": {"d_model": 16},
            "training": {"steps": 12, "save_every": 4, "evaluate_every": None, "log_every": 4},
            "decoding": {"max_new_tokens": 6},
            "measurement": {"processes": 0},
            "grid": grid,
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "spec.yaml").write_text(json.dumps(spec))
        site = self.folder / "site"
        (site / "zoo_witness-1.0.dist-info").mkdir(parents=True)
        (site / "zoo_witness.py").write_text(WITNESS)
        (site / "zoo_witness-1.0.dist-info" / "METADATA").write_text("Name: zoo-witness\nVersion: 1.0\n")
        (site / "zoo_witness-1.0.dist-info" / "entry_points.txt").write_text("[zoo]\nwitness = zoo_witness\n")
        count = 1
        for values in grid.values():
            count *= len(values)
        return count

    def start(self, **environ: str) -> subprocess.Popen[str]:
        """Begin, or go on."""
        arguments = ["bench", str(self.folder / "spec.yaml"), *self.options]
        arguments += ["--store", str(self.store.folder), "--work", str(self.folder / "work")]
        environment = {
            key: value for key, value in os.environ.items() if not key.startswith(("ZOO_", "RAY_", "PYTEST_"))
        }
        environment |= {
            MARK: self.mark,
            "ZOO_TEST_WITNESS": str(self.folder / "witness"),
            "ZOO_HOME": str(self.folder / "home"),
            "PYTHONPATH": os.pathsep.join((str(self.folder / "site"), os.environ.get("PYTHONPATH", ""))),
            "OMP_NUM_THREADS": "1",
            **environ,
        }
        return subprocess.Popen(
            [sys.executable, "-m", "zoo.cli.main", *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def store(self) -> RecordStore:
        return RecordStore(self.folder / "records")

    def results(self) -> list[Record]:
        """The records that count: those of a failed machine do not."""
        return [record for record in self.store.read().records if record.status != "infra"]

    def begun(self) -> Counter[str]:
        """How often the training of each cell has begun, by seed and rate."""
        witness = self.folder / "witness"
        lines = witness.read_text().splitlines() if witness.exists() else []
        return Counter(" ".join(line.split()[:2]) for line in lines)

    def processes(self) -> dict[int, list[str]]:
        """Everything that runs for this sweep, whoever its parent is now."""
        found = {}
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    found[process.pid] = process.cmdline()
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found

    def cells_at_work(self) -> list[int]:
        """The processes of cells."""
        return [pid for pid, command in self.processes().items() if "zoo.bench.cell_process" in command]

    @staticmethod
    def eventually(holds: Callable[[], object], seconds: float, driver: subprocess.Popen[str] | None = None) -> None:
        """Wait until something holds. Fails after that time, and where the driver ends before it does."""
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, f"not within {seconds:g} s"
            if driver is not None and driver.poll() is not None:
                assert holds(), f"the driver ended first: {driver.stderr.read() if driver.stderr else ''}"
            time.sleep(0.05)

    def clean_up(self) -> None:
        """Leave nothing behind, however the test ended."""
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


@pytest.fixture
def make_sweep(tmp_path: Path) -> Iterator[Callable[..., Sweep]]:
    made: list[Sweep] = []

    def make(*options: str) -> Sweep:
        made.append(Sweep(tmp_path / "sweep", options))
        return made[-1]

    yield make
    for sweep in made:
        sweep.clean_up()
