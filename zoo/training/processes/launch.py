"""Several processes on this machine that train one model: started as torchrun would, watched, and ended together.

For several machines take torchrun or accelerate itself; the processes are the same (`zoo.training.processes.world`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from zoo import startup
from zoo.atomic import write_atomic
from zoo.errors import InputError, ZooError
from zoo.spec import Spec
from zoo.spec.peer_spec import refuse_peer
from zoo.tasks import DataHome
from zoo.tasks.contracts import Progress, silent
from zoo.tasks.progress_pipe import reported
from zoo.training.outcome import TrainingOutcome, read_outcome
from zoo.training.processes.world import refuse_too_few_gpus, refuse_uneven

REQUEST = "request.json"
ERROR = "error.json"
_HERE = "127.0.0.1"
_GRACE = 20.0
"""Seconds that the others have to find out that one of them is gone, and to leave by themselves."""


class ProcessDiedError(ZooError):
    """A training process ended without a word."""

    def __init__(self, rank: int, processes: int, status: int) -> None:
        self.signal = -status if status < 0 else None
        how = f"by signal {self.signal}" if self.signal else f"with status {status}"
        super().__init__(f"training process {rank + 1} of {processes} ended {how}")


def train_together(
    spec: Spec,
    out: Path,
    processes: int,
    *,
    resume: bool = False,
    home: DataHome | None = None,
    progress: Progress = silent,
) -> TrainingOutcome:
    """`train` by that many processes of this machine, each with a GPU of its own where there are any.

    The threads of this process are divided among them. They end with this process, however it ends. Raises what
    `train` raises, and ProcessDiedError.
    """
    if processes == 1:
        from zoo.training.run import train  # with transformers, which they import who train

        startup.imported()
        return train(spec, out, resume=resume, home=home, progress=progress)
    refuse_peer(spec)
    refuse_uneven(spec, processes)
    refuse_too_few_gpus(processes)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="zoo-train-")))
        request = {
            "spec": spec.plain(),
            "out": str(out.resolve()),
            "home": str((home or DataHome.default()).root.resolve()),
            "resume": resume,
        }
        write_atomic(folder / REQUEST, json.dumps(request))
        # Hosted here, so that its port is known to be free.
        store = dist.TCPStore(_HERE, 0, is_master=True, wait_for_workers=False)  # type: ignore[attr-defined]
        descriptor = stack.enter_context(reported(progress))
        died = _run(folder, processes, store.port, descriptor)
        told = _told(folder)
    if told is not None:
        raise told
    outcome = read_outcome(out)
    if died is not None and (outcome is None or outcome.status == "running"):
        raise died
    if outcome is None:
        raise ZooError(f"{out}: the training processes left no outcome")
    return outcome


def _run(folder: Path, processes: int, port: int, descriptor: int) -> ProcessDiedError | None:
    """Start them and wait for all; which of them failed first, or None."""
    reading, writing = os.pipe()
    running: list[subprocess.Popen[bytes]] = []
    try:
        for rank in range(processes):
            running.append(
                subprocess.Popen(
                    [
                        sys.executable,
                        "-m",
                        "zoo.startup",
                        "zoo.training.processes.entry",
                        str(folder),
                        str(descriptor if rank == 0 else -1),
                    ],
                    stdin=reading,
                    pass_fds=(descriptor,) if rank == 0 else (),
                    env={**os.environ, **_environ(rank, processes, port)},
                )
            )
        os.close(reading)
        failed = _first_failure(running)
        if failed is None:
            return None
        _wait(lambda: all(process.poll() is not None for process in running), _GRACE)
        # One that a signal ended is the cause of what befell the others.
        signalled = [rank for rank, process in enumerate(running) if (process.poll() or 0) < 0]
        failed = signalled[0] if signalled else failed
        return ProcessDiedError(failed, processes, running[failed].returncode)
    finally:
        os.close(writing)  # their lifeline
        for process in running:
            with suppress(ProcessLookupError):
                process.kill()
            process.wait()


def _environ(rank: int, processes: int, port: int) -> dict[str, str]:
    """What torchrun tells each process."""
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(processes),
        "LOCAL_WORLD_SIZE": str(processes),
        "MASTER_ADDR": _HERE,
        "MASTER_PORT": str(port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "TORCHELASTIC_RESTART_COUNT": "0",
        "OMP_NUM_THREADS": str(max(1, torch.get_num_threads() // processes)),
        # Else each process warns that all parameters are in use, which is how it should be.
        "TORCH_CPP_LOG_LEVEL": os.environ.get("TORCH_CPP_LOG_LEVEL", "ERROR"),
    }


def _first_failure(running: list[subprocess.Popen[bytes]]) -> int | None:
    """The rank of the first process that fails; None when all have ended well."""
    found: list[int] = []

    def ended() -> bool:
        found.extend(rank for rank, process in enumerate(running) if process.poll() not in (None, 0))
        return bool(found) or all(process.poll() == 0 for process in running)

    _wait(ended)
    return found[0] if found else None


def _wait(holds: Callable[[], bool], seconds: float | None = None) -> None:
    deadline = None if seconds is None else time.monotonic() + seconds
    while not holds() and (deadline is None or time.monotonic() < deadline):
        time.sleep(0.05)


def _told(folder: Path) -> Exception | None:
    """The error that a process wrote down, as the exception it was or the nearest to it."""
    try:
        told: dict[str, Any] = json.loads((folder / ERROR).read_text())
    except FileNotFoundError:
        return None
    kinds: dict[str, type[Exception]] = {"input": InputError, "zoo": ZooError, "os": OSError, "memory": MemoryError}
    return kinds.get(told["kind"], RuntimeError)(told["message"])
