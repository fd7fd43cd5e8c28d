"""Cells as tasks of Ray. What Ray does itself is left to it: queues, resources, machines that come and go."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from zoo.bench.executor import CellJob, Done, Executor, Settings, find_job, run_job
from zoo.bench.record import Record
from zoo.bench.run import CellResult
from zoo.errors import InputError, ZooError
from zoo.spec import resolve
from zoo.tasks.contracts import Progress, silent
from zoo_executors.options import RayOptions

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # A cell that needs too much memory is a result, which its runner tells from the kernel's count.
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
_PASSED_ON = ("ZOO_BLOCK", "ZOO_PLUGINS")
_OBJECT_STORE = 100 * 2**20
"""Bytes. Specs and records are all that goes through it."""


class OnRay(Executor):
    """One Ray task for each job, in a worker process that ends with it.

    The task runs the same `Runner` as everywhere, so that the lock in a cell's work folder and its records decide what
    is still to be done: it does not matter to them which worker died, or that a second sweep runs the same cells. All
    machines need the same Python environment and must see the same folders (records, work, data home) under the same
    paths. Ray's own retries are off: it would count failures of the code too.
    """

    options: RayOptions

    def run(self, jobs: Sequence[CellJob], settings: Settings, progress: Progress = silent) -> Iterator[Done]:
        ray = _ray(self.options)
        if self.options.address is None:
            # What is on record already needs no worker; in a cluster only a worker knows its machine, and so the key.
            here = settings.runner(threads=self.options.cpus, progress=progress)
            jobs, asked = [], jobs
            for job in asked:
                found = find_job(job, here)
                if found is None:
                    jobs.append(job)
                else:
                    yield found
        if jobs:
            yield from self._submitted(ray, jobs, settings)

    def _submitted(self, ray: Any, jobs: Sequence[CellJob], settings: Settings) -> Iterator[Done]:
        with _cluster(ray, self.options):
            task = ray.remote(**self._resources(ray, settings))(_run)
            waiting = [(job, 0) for job in reversed(jobs)]
            running: dict[Any, tuple[CellJob, int]] = {}
            while waiting or running:
                while waiting and len(running) < (self.options.workers or len(jobs)):
                    job, deaths = waiting.pop()
                    running[task.remote(_told(job), settings, self.options.cpus)] = (job, deaths)
                (ended, *_), _ = ray.wait(list(running), num_returns=1)
                job, deaths = running.pop(ended)
                try:
                    yield _heard(job, ray.get(ended))
                except ray.exceptions.RayTaskError as error:
                    yield Done(job, error=ZooError(f"its task failed: {_last_line(error)}"))
                except ray.exceptions.RayError as error:
                    if deaths < self.options.resubmissions:
                        waiting.append((job, deaths + 1))
                    else:
                        yield Done(job, error=ZooError(f"its worker died {deaths + 1} times: {_first_line(error)}"))

    def _resources(self, ray: Any, settings: Settings) -> dict[str, Any]:
        """What Ray is asked for a task. Raises InputError where our own cluster will never have it."""
        cluster = ray.cluster_resources()
        gpus = self.options.gpus
        if gpus is None:
            gpus = float(settings.processes) if cluster.get("GPU") else 0.0
        if self.options.address is None:
            for name, wanted in (("CPU", self.options.cpus), ("GPU", gpus)):
                if wanted > cluster.get(name, 0):
                    found = int(cluster.get(name, 0))
                    raise InputError(f"executor ray: a cell takes {wanted:g} {name}s, this machine has {found}")
        return {
            "num_cpus": self.options.cpus,
            "num_gpus": gpus,
            "max_calls": 1,
            "max_retries": 0,
            "scheduling_strategy": "SPREAD",
        }


def _run(told: Mapping[str, Any], settings: Settings, threads: int) -> dict[str, Any]:
    """In Ray's worker: run one job; both question and answer are plain data."""
    job = CellJob(resolve(told["spec"]), told["job"])
    done = run_job(job, settings.runner(threads=threads))
    if done.result is not None:
        record = done.result.record.model_dump_json(by_alias=True)
        return {"record": record, "cached": done.result.cached}
    return {"error": str(done.error), "mistake": isinstance(done.error, InputError)}


def _told(job: CellJob) -> dict[str, Any]:
    return {"spec": job.spec.plain(), "job": job.job}


def _heard(job: CellJob, answer: Mapping[str, Any]) -> Done:
    if "record" in answer:
        record = Record.model_validate_json(answer["record"])
        return Done(job, result=CellResult(record, cached=answer["cached"]))
    kind = InputError if answer["mistake"] else ZooError
    return Done(job, error=kind(answer["error"]))


def _ray(options: RayOptions) -> Any:
    """The package, set up by what it reads when it is imported. Raises InputError where it is not installed."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    if options.address is not None and (Path.home() / ".ray" / "auth_token").is_file():
        # Where `ray start` finds a token it asks for one, but `ray.init` shows it only if told to.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise InputError(f"executor ray needs Ray ({error}): pip install 'zoo-executors[ray]'") from None
    return ray


@contextmanager
def _cluster(ray: Any, options: RayOptions) -> Iterator[None]:
    """Join the cluster at the address, or have one of our own for the length of the block."""
    common = {"log_to_driver": False, "logging_level": "CRITICAL", "configure_logging": True}
    folder = None
    if options.address is None:
        # Under /tmp, as Ray's sockets lie in it and the path of a socket is at most 107 bytes long.
        folder = tempfile.mkdtemp(prefix="zoo-ray-", dir="/tmp")
        place: dict[str, Any] = {
            "address": "local",
            "include_dashboard": False,
            "object_store_memory": _OBJECT_STORE,
            "_temp_dir": folder,
        }
    else:
        _refuse_unreachable(options.address)
        passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        place = {"address": options.address, "runtime_env": {"env_vars": passed_on} if passed_on else None}
    try:
        try:
            ray.init(**place, **common)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            where = options.address or "this machine"
            raise ZooError(f"executor ray: no cluster on {where}: {_first_line(error)}") from error
        yield
    finally:
        ray.shutdown()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _refuse_unreachable(address: str) -> None:
    """Raise ZooError where nobody listens: Ray itself would try for minutes."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if not colon or not port.isdigit():
        return  # 'auto' and the like: Ray knows where to look
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise ZooError(f"executor ray: no cluster on {address}: {error}") from None


def _last_line(error: BaseException) -> str:
    """The line of a traceback that says what it is about."""
    return str(error).strip().splitlines()[-1].strip()


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
