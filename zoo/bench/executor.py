"""What runs the cells of a sweep: one after the other here, several at once, or on many machines."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

from zoo.bench.cell import Job, baseline_spec, controls_of
from zoo.bench.store import new_record_id
from zoo.errors import InputError, ZooError
from zoo.registry import Registry, current_registry
from zoo.spec import Spec
from zoo.spec.load import resolve_node
from zoo.spec.node import Entry, Mark, Node, mapping
from zoo.spec.options import Chosen, Options, Slot
from zoo.spec.overlay import assign
from zoo.spec.peer_spec import PeerSpec
from zoo.spec.reader import read_text
from zoo.tasks.contracts import Progress, silent

if TYPE_CHECKING:
    from zoo.bench.run import CellResult, Runner

T = TypeVar("T")
KIND = "executor"
DEFAULT = "default"
"""The trait of the executor that runs cells where the user names none."""


@dataclass(frozen=True)
class CellJob:
    """One thing to run: a cell, or one of the controls on its task."""

    spec: Spec
    job: Job = "model"

    @property
    def name(self) -> str:
        """As people read it, such as ``rotary (seed 1)`` or ``copy on office-zh-en``."""
        if isinstance(self.spec, PeerSpec):
            return self.spec.name
        if self.job == "model":
            return f"{self.spec.name} (seed {self.spec.seed})"
        return f"{self.job} on {self.spec.task.create().name}"


@dataclass(frozen=True)
class Done:
    """How one job ended: with a result (a recorded failure is one), or with what kept it from being run."""

    job: CellJob
    result: CellResult | None = None
    error: ZooError | None = None

    def __post_init__(self) -> None:
        if (self.result is None) == (self.error is None):
            raise ValueError("expected either a result or an error")


@dataclass(frozen=True)
class Settings:
    """What a `Runner` needs, as plain values that can be sent to another process or machine.

    All paths are absolute. Where jobs run on several machines, all of them must see the same folders there: the lock
    in a cell's work folder and the records are what keeps a cell from being run twice.
    """

    store: Path
    home: Path
    work: Path | None = None
    timeout: float | None = None
    retries: int = 1
    again_since: str | None = None
    """Run finished cells again, unless their record's id is later than this one."""
    begun: str = field(default_factory=new_record_id)
    """When the cells were asked for, as a record's id."""
    processes: int = 1
    """Processes that train each cell together, one a GPU where there are any."""

    def __post_init__(self) -> None:
        for path in (self.store, self.home, self.work):
            if path is not None and not path.is_absolute():
                raise ValueError(f"{path}: expected an absolute path")

    def runner(self, *, threads: int | None = None, gpus: Sequence[int] = (), progress: Progress = silent) -> Runner:
        """The runner of one process: what differs from place to place is given here (`Runner` says how)."""
        from zoo.bench.run import Runner
        from zoo.bench.store import RecordStore
        from zoo.tasks import DataHome

        return Runner(
            RecordStore(self.store),
            home=DataHome(self.home),
            work=self.work,
            timeout=self.timeout,
            retries=self.retries,
            again_since=self.again_since,
            begun=self.begun,
            processes=self.processes,
            threads=threads,
            gpus=tuple(gpus),
            progress=progress,
        )


class Executor(ABC):
    """Built as ``target(options)``. Its options have `workers`, the number of jobs at once, where that is a choice.

    What an executor promises, whatever dies underneath it:

    - each job is reported once, in any order, as soon as it has ended;
    - a job that cannot be run costs its own row: the others are run;
    - a job is run by `Runner.run_job`, in a process that dies with its parent: when the iterator is closed or the
      executor killed, nothing stays at work, and the same call later goes on where it was;
    - whether a failure is tried again is the runner's to say, save that of a worker that did not live to say anything.
    """

    def __init__(self, options: Options) -> None:
        self.options = options

    @abstractmethod
    def run(self, jobs: Sequence[CellJob], settings: Settings, progress: Progress = silent) -> Iterator[Done]:
        """Run every job and yield each as it ends. Raises ZooError where nothing at all can be run."""


def cell_jobs(specs: Iterable[Spec]) -> list[CellJob]:
    """The jobs of a sweep: the controls of each board once, then the cells, none twice."""
    chosen: dict[str, CellJob] = {}
    plain = [(spec, spec.plain()) for spec in specs]
    for spec, sections in plain:
        for job in controls_of(spec):
            board = json.dumps(baseline_spec(sections, job), sort_keys=True)
            chosen.setdefault(f"{job} {board}", CellJob(spec, job))
    for spec, sections in plain:
        chosen.setdefault(json.dumps({**sections, "description": ""}, sort_keys=True), CellJob(spec))
    return list(chosen.values())


def run_job(job: CellJob, runner: Runner) -> Done:
    """Run one job; what keeps it from being run is an answer, not an exception."""
    return _answered(job, lambda: Done(job, result=runner.run_job(job.spec, job.job)))


def refused(jobs: Sequence[CellJob], runner: Runner) -> list[Done]:
    """The jobs that this machine cannot run, and why; where it can run no cell, the controls too.

    To be known before anything is prepared, and before the others have taken their time.
    """
    found = [done for job in jobs if job.job == "model" and (done := _refused(job, runner)) is not None]
    if found and len(found) == sum(job.job == "model" for job in jobs):
        found += [Done(job, error=found[0].error) for job in jobs if job.job != "model"]
    return found


def _refused(job: CellJob, runner: Runner) -> Done | None:
    return _answered(job, lambda: runner.refuse(job.spec))


def find_job(job: CellJob, runner: Runner) -> Done | None:
    """The job as `run_job` would end it without running anything; None where there is something to run."""

    def found() -> Done | None:
        result = runner.find_job(job.spec, job.job)
        return None if result is None else Done(job, result=result)

    return _answered(job, found)


def _answered(job: CellJob, ask: Callable[[], T]) -> T | Done:
    try:
        return ask()
    except ZooError as error:
        return Done(job, error=error)
    except Exception as error:
        # A plugin prepares the data here: its mistake, too, costs this row and no other.
        return Done(job, error=_wrapped(error))


def _wrapped(error: Exception) -> ZooError:
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        wrapped = ZooError(f"{place}{error.strerror or error}")
    else:
        wrapped = ZooError(" ".join(f"unexpected {type(error).__name__}: {error}".split()))
    wrapped.__cause__ = error
    return wrapped


@dataclass(frozen=True)
class Setting:
    """One option of an executor as a user gives it: its name, its value as YAML, and where it stands."""

    option: str
    value: str
    where: str


def choose_executor(name: str | None, given: Iterable[Setting] = (), registry: Registry | None = None) -> Chosen:
    """The executor of that name with its options; without a name, the installed one that is the default.

    Raises InputError for an unknown name, option or value, with the nearest valid one.
    """
    registry = registry or current_registry()
    if name is None:
        name = _default(registry)
    mark = Mark(f"--executor {name}")
    slot = mapping({"use": Entry(mark, Node(name, mark))}, mark)
    root = mapping({KIND: Entry(mark, slot)}, mark)
    for one in given:
        value = read_text(one.value, one.where, place=False)
        root = assign(root, f"{KIND}.{one.option}", value, one.where)
    return resolve_node(root, _Choice, registry).executor


class _Choice(Options):
    executor: Annotated[Chosen, Slot(KIND)]


def _default(registry: Registry) -> str:
    found = [item.id for item in registry.components(KIND) if item.traits.get(DEFAULT)]
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(f"several executors want to be the default: write --executor {' or '.join(found)}")
    raise InputError("no executor is installed that could be the default: pip install zoo-executors")
