"""Running cells: a fresh process for each, finished ones not again, every attempt on record."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import torch

from zoo.bench.cell import Cell, Job, baseline_spec, controls_of, recorded_name
from zoo.bench.outcome import Outcome
from zoo.bench.outputs import publish_outputs
from zoo.bench.record import PeerPart, Record
from zoo.bench.store import RecordStore, new_record_id
from zoo.bench.work import Request, WorkFolder
from zoo.errors import ZooError
from zoo.measure.device import cpu_class, hardware_class
from zoo.measure.environment import environment
from zoo.measure.oom import kernel_oom_kills
from zoo.spec import Spec, spec_hash
from zoo.spec.lock import distributions_now
from zoo.spec.peer_spec import PeerSpec
from zoo.tasks import DataHome
from zoo.tasks.contracts import Progress, silent
from zoo.tasks.peers import Peer, PeerFacts
from zoo.tasks.progress_pipe import reported
from zoo.training.contracts import OptimizerFactory
from zoo.training.processes.world import refuse_too_few_gpus, refuse_uneven, training_device

_BETWEEN_LOOKS = 0.5
"""Seconds within which a runner notices that it is to stop."""


@dataclass(frozen=True)
class CellResult:
    """The record of a cell, and whether it was there already."""

    record: Record
    cached: bool


class StoppedError(ZooError):
    """The runner was told to stop while it was at work. Nothing is recorded: the cell goes on when it is run again."""


@dataclass
class Runner:
    """Runs cells into one store. Any number of runners, in any number of processes, may share store and work folder.

    `work` holds a folder per cell, named by its key, with the run that a killed attempt leaves and the next continues.
    `timeout` is in seconds for one attempt. An attempt that the machine failed ('infra') is retried `retries` times, at
    once; every other status is a result and ends the cell. With `again_since`, finished cells are run anew unless their
    record's id is later. A training that several cells share and that ended for lack of memory before `begun`, an id
    too, is tried again. `processes` train a cell together. `threads` (default: those of this process) and `gpus`
    (numbers among those that this process sees; none: all) are what a cell's process gets of the machine.
    What a cell's process writes goes to ``cell.log`` in its folder; its progress is passed on to `progress`, from a
    thread of its own.
    """

    store: RecordStore
    home: DataHome = field(default_factory=DataHome.default)
    work: Path | None = None
    timeout: float | None = None
    retries: int = 1
    again_since: str | None = None
    begun: str = field(default_factory=new_record_id)
    processes: int = 1
    threads: int | None = None
    gpus: tuple[int, ...] = ()
    progress: Progress = silent
    _revisions: dict[str, str] = field(default_factory=dict, repr=False)
    _stopped: threading.Event = field(default_factory=threading.Event, repr=False)

    def run(self, spec: Spec) -> CellResult:
        """Train, evaluate and measure one spec. Raises ZooError where its data cannot be prepared."""
        return self.run_job(spec, "model")

    def run_baselines(self, spec: Spec) -> list[CellResult]:
        """The controls on the spec's task, each once for a store however many models it holds."""
        return [self.run_job(spec, job) for job in controls_of(spec)]

    def run_job(self, spec: Spec, job: Job) -> CellResult:
        """Run the cell of a spec, or one of its controls, or find its result in the store."""
        if job == "model":
            self.refuse(spec)
        if job != "model" and spec.export is not None:
            spec = spec.model_copy(update={"export": None})  # a control is the same whatever its board's models run on
        cell, key = self._keyed(spec, job)
        return self._run(cell, key, job)

    def refuse(self, spec: Spec) -> None:
        """Raise ZooError where the spec cannot be trained here, or its peer is not installed: of the machine that is
        true, not of the cell.
        """
        if isinstance(spec, PeerSpec):
            self._peer(spec)
            return
        factory: OptimizerFactory = spec.training.optimizer.create()
        factory.refuse(training_device())

    def find_job(self, spec: Spec, job: Job) -> CellResult | None:
        """The result that `run_job` would find in the store, or None where it would run something."""
        return self._finished(self._keyed(spec, job)[1], job)

    def stop(self) -> None:
        """End what is running, from any thread: the call at work ends its cell's process and raises StoppedError."""
        self._stopped.set()

    def _keyed(self, spec: Spec, job: Job) -> tuple[Cell, str]:
        if job == "model" and not isinstance(spec, PeerSpec):
            # Refused here, as in the cell's process they would be results on record.
            refuse_uneven(spec, self.processes)
            refuse_too_few_gpus(self.processes, len(self.gpus) or None)
        cell = self._cell(spec)
        return cell, cell.key if job == "model" else cell.baseline_key(job)

    def _cell(self, spec: Spec) -> Cell:
        task = spec.task.plain()
        name = repr(task)
        if name not in self._revisions:
            self._revisions[name] = spec.task.create().prepare(self.home, self.progress).revision
        if isinstance(spec, PeerSpec):
            return Cell(spec, self._revisions[name], cpu_class(self._threads), self._peer(spec))
        hardware = hardware_class(self._threads, self.gpus[0] if self.gpus else 0)
        if self.processes > 1:
            hardware += f", {self.processes} processes"
        return Cell(spec, self._revisions[name], hardware)

    def _peer(self, spec: PeerSpec) -> PeerFacts:
        """What runs here of a peer. Raises ZooError where it is not installed."""
        peer: Peer = spec.peer.create(self._threads)
        return peer.facts()

    @property
    def _threads(self) -> int:
        return self.threads or torch.get_num_threads()

    def _finished(self, key: str, job: Job) -> CellResult | None:
        done = self.store.finished(key)
        if done is None or (job == "model" and self.again_since is not None and done.id <= self.again_since):
            return None
        return CellResult(done, cached=True)

    def _run(self, cell: Cell, key: str, job: Job) -> CellResult:
        found = self._finished(key, job)
        if found is not None:
            return found
        folder = WorkFolder((self.work or self.home.root / "cells").resolve() / key[:24])
        with folder.held() as lock:
            # Whoever held the lock may have finished the cell meanwhile.
            found = self._finished(key, job)
            if found is not None:
                return found
            folder.clear_if_recorded(self.store.holds)
            # An outcome that a killed parent did not live to record is recorded now.
            outcome = folder.read_outcome()
            for attempt in range(self.retries + 1):
                if outcome is None or outcome.status == "infra":
                    outcome = self._attempt(folder, cell.spec, job, lock)
                record = self._record(cell, key, job, outcome, folder)
                if outcome.status == "infra":
                    self.store.append(record)
                else:
                    # In this order, so that a kill at any moment leaves one record of the outcome, now or later.
                    folder.mark_recorded(record.id)
                    self.store.append(record)
                    folder.drop_outcome()
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
                threads=self._threads,
                processes=self.processes,
                again_since=self.again_since,
                begun=self.begun,
            )
        )
        kills_before = kernel_oom_kills()
        try:
            status = self._run_process(folder, lock)
        except subprocess.TimeoutExpired:
            return self._failed("timeout", f"killed after {self.timeout:g} s")
        outcome = folder.read_outcome()
        if outcome is not None:
            return outcome
        if status == -signal.SIGKILL and kernel_oom_kills() > kills_before:
            return self._failed("oom", "killed by the kernel: out of memory")
        cause = f"ended by signal {-status}" if status < 0 else f"ended with status {status}"
        return self._failed("infra", f"the cell's process {cause}: {folder.last_log_line()}")

    def _run_process(self, folder: WorkFolder, lock: int) -> int:
        """The exit status of the cell's process (negative: the signal that ended it). Raises TimeoutExpired."""
        with reported(self.progress) as descriptor, folder.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "zoo.startup", "zoo.bench.cell_process", str(folder.path), str(descriptor)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=(descriptor, lock),
                start_new_session=True,
                env=self._environ(),
            )
            try:
                return self._waited(process)
            finally:
                _end(process)

    def _waited(self, process: subprocess.Popen[bytes]) -> int:
        """The exit status. Raises TimeoutExpired, and StoppedError soon after `stop`."""
        deadline = math.inf if self.timeout is None else time.monotonic() + self.timeout
        while not self._stopped.is_set():
            try:
                return process.wait(min(_BETWEEN_LOOKS, max(0.0, deadline - time.monotonic())))
            except subprocess.TimeoutExpired:
                if time.monotonic() >= deadline:
                    raise
        raise StoppedError("stopped")

    def _environ(self) -> dict[str, str] | None:
        """The environment of a cell's process, which shows it only its own GPUs; None for this process's."""
        if not self.gpus:
            return None
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        names = visible.split(",") if visible else None
        chosen = [names[index] if names else str(index) for index in self.gpus]
        return {**os.environ, "CUDA_VISIBLE_DEVICES": ",".join(chosen)}

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
            name=recorded_name(spec, job),
            role="baseline" if job != "model" else "model" if cell.peer is None else "peer",
            task=spec.task.create().name,
            seed=spec.seed,
            spec=spec.plain() if job != "copy" else baseline_spec(spec.plain(), job),
            spec_hash=f"sha256:{key}" if job == "copy" else spec_hash(spec),
            data_revision=cell.data_revision,
            hardware=cell.hardware if job == "model" else None,
            distributions=distributions_now(spec),
            attempt=len(self.store.of_cell(key)) + 1,
            peer=None if cell.peer is None else PeerPart(**vars(cell.peer)),
            **{name: getattr(outcome, name) for name in Outcome.model_fields},
        )


def run_cell(spec: Spec, store: RecordStore, **options: Any) -> CellResult:
    """Run one cell; `options` are the fields of `Runner`."""
    return Runner(store, **options).run(spec)


def with_seeds(spec: Spec, count: int) -> list[Spec]:
    """The spec with `count` consecutive seeds, its own first. A peer draws nothing: it has one."""
    if isinstance(spec, PeerSpec):
        return [spec]
    return [spec.model_copy(update={"seed": spec.seed + offset}) for offset in range(count)]


def _end(process: subprocess.Popen[bytes]) -> None:
    """Leave nothing running: the process leads a session of its own, with its memory probe and data workers in it."""
    if process.stdin is not None:
        process.stdin.close()
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
