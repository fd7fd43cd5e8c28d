"""Running cells: a fresh process for each, finished ones not again, every attempt on record."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import torch

from zoo.bench.cell import BASELINE_SECTIONS, Cell
from zoo.bench.outcome import Outcome
from zoo.bench.outputs import publish_outputs
from zoo.bench.progress import reported
from zoo.bench.record import Record
from zoo.bench.store import RecordStore, new_record_id
from zoo.bench.work import BASELINES, Job, Request, WorkFolder
from zoo.measure import environment, hardware_class
from zoo.spec import Spec, spec_hash
from zoo.spec.lock import distributions_now
from zoo.tasks import DataHome
from zoo.tasks.contracts import Progress, silent


@dataclass(frozen=True)
class CellResult:
    """The record of a cell, and whether it was there already."""

    record: Record
    cached: bool


@dataclass
class Runner:
    """Runs cells into one store.

    `work` holds a folder per cell, named by its key, with the run that a killed attempt leaves and the next continues.
    `timeout` is in seconds for one attempt. An attempt that the machine failed ('infra') is retried `retries` times, at
    once; every other status is a result and ends the cell. With `again`, finished cells are run anew.
    What a cell's process writes goes to ``cell.log`` in its folder; its progress is passed on to `progress`, from a
    thread of its own.
    """

    store: RecordStore
    home: DataHome = field(default_factory=DataHome.default)
    work: Path | None = None
    timeout: float | None = None
    retries: int = 1
    again: bool = False
    progress: Progress = silent
    _revisions: dict[str, str] = field(default_factory=dict, repr=False)

    def run(self, spec: Spec) -> CellResult:
        """Train, evaluate and measure one spec. Raises ZooError where its data cannot be prepared."""
        cell = self._cell(spec)
        return self._run(cell, cell.key, "model", self.again)

    def run_baselines(self, spec: Spec) -> list[CellResult]:
        """The controls on the spec's task, each once for a store however many models it holds."""
        cell = self._cell(spec)
        return [self._run(cell, cell.baseline_key(job), job, again=False) for job in BASELINES]

    def _cell(self, spec: Spec) -> Cell:
        task = spec.task.plain()
        name = repr(task)
        if name not in self._revisions:
            self._revisions[name] = spec.task.create().prepare(self.home, self.progress).revision
        return Cell(spec, self._revisions[name], hardware_class())

    def _run(self, cell: Cell, key: str, job: Job, again: bool) -> CellResult:
        done = None if again else self.store.finished(key)
        if done is not None:
            return CellResult(done, cached=True)
        folder = WorkFolder((self.work or self.home.root / "cells").resolve() / key[:24])
        with folder.held() as lock:
            # Whoever held the lock may have finished the cell meanwhile.
            done = None if again else self.store.finished(key)
            if done is not None:
                return CellResult(done, cached=True)
            folder.clear_if_recorded()
            # An outcome that a killed parent did not live to record is recorded now.
            outcome = folder.read_outcome()
            for attempt in range(self.retries + 1):
                if outcome is None or outcome.status == "infra":
                    outcome = self._attempt(folder, cell.spec, job, lock)
                record = self._record(cell, key, job, outcome, folder)
                self.store.append(record)
                if outcome.status != "infra":
                    folder.mark_recorded(record.id)
                if outcome.status != "infra" or attempt == self.retries:
                    return CellResult(record, cached=False)
        raise AssertionError("unreachable: the last attempt returns")

    def _attempt(self, folder: WorkFolder, spec: Spec, job: Job, lock: int) -> Outcome:
        folder.path.mkdir(parents=True, exist_ok=True)
        folder.drop_outcome()
        folder.write_request(
            Request(
                job=job,
                spec=spec.plain(),
                home=str(self.home.root.resolve()),
                store=str(self.store.folder.resolve()),
                threads=torch.get_num_threads(),
            )
        )
        kills_before = _kernel_oom_kills()
        try:
            status = self._run_process(folder, lock)
        except subprocess.TimeoutExpired:
            return self._failed("timeout", f"killed after {self.timeout:g} s")
        outcome = folder.read_outcome()
        if outcome is not None:
            return outcome
        if status == -signal.SIGKILL and _kernel_oom_kills() > kills_before:
            return self._failed("oom", "killed by the kernel: out of memory")
        cause = f"ended by signal {-status}" if status < 0 else f"ended with status {status}"
        return self._failed("infra", f"the cell's process {cause}: {folder.last_log_line()}")

    def _run_process(self, folder: WorkFolder, lock: int) -> int:
        """The exit status of the cell's process (negative: the signal that ended it). Raises TimeoutExpired."""
        with reported(self.progress) as descriptor, folder.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "zoo.bench.cell_process", str(folder.path), str(descriptor)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=(descriptor, lock),
                start_new_session=True,
            )
            try:
                return process.wait(self.timeout)
            finally:
                _end(process)

    def _failed(self, status: Literal["timeout", "oom", "infra"], error: str) -> Outcome:
        surroundings = environment(self.store.folder, ignoring=(self.store.folder,))
        return Outcome(status=status, error=error, environment=surroundings)

    def _record(self, cell: Cell, key: str, job: Job, outcome: Outcome, folder: WorkFolder) -> Record:
        """The record of an attempt, whose outputs stand beside it from here on: the record is what makes them count."""
        spec = cell.spec
        record_id = new_record_id()
        if outcome.outputs is not None:
            published = publish_outputs(folder.outputs, self.store.folder, record_id)
            outcome = outcome.model_copy(update={"outputs": published})
        if job == "untrained":
            spec = spec.model_copy(update={"training": spec.training.model_copy(update={"steps": 0})})
        return Record(
            id=record_id,
            created=datetime.now(UTC).isoformat(timespec="milliseconds"),
            cell=key,
            name=spec.name if job == "model" else job,
            role="model" if job == "model" else "baseline",
            task=spec.task.create().name,
            seed=spec.seed,
            spec=spec.plain() if job != "copy" else {part: spec.plain()[part] for part in BASELINE_SECTIONS},
            spec_hash=f"sha256:{key}" if job == "copy" else spec_hash(spec),
            data_revision=cell.data_revision,
            hardware=cell.hardware if job == "model" else None,
            distributions=distributions_now(spec),
            attempt=len(self.store.of_cell(key)) + 1,
            **{name: getattr(outcome, name) for name in Outcome.model_fields},
        )


def run_cell(spec: Spec, store: RecordStore, **options: Any) -> CellResult:
    """Run one cell; `options` are the fields of `Runner`."""
    return Runner(store, **options).run(spec)


def with_seeds(spec: Spec, count: int) -> list[Spec]:
    """The spec with `count` consecutive seeds, its own first."""
    return [spec.model_copy(update={"seed": spec.seed + offset}) for offset in range(count)]


def _end(process: subprocess.Popen[bytes]) -> None:
    """Leave nothing running: the process leads a session of its own, with its memory probe and data workers in it."""
    if process.stdin is not None:
        process.stdin.close()
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _kernel_oom_kills() -> int:
    """How often the kernel has killed in this container for memory; 0 where it does not say."""
    try:
        lines = Path("/sys/fs/cgroup/memory.events").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
