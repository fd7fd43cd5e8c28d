"""Cells on this machine, each in a fresh process."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence

import torch

from zoo.bench.executor import CellJob, Done, Executor, Settings, refused, run_job
from zoo.bench.run import Runner
from zoo.tasks.contracts import Progress, silent
from zoo_executors.options import LocalOptions


class Local(Executor):
    """A few threads that each hand one job after another to a runner, which starts a process for it.

    Several cells at once disturb each other's timings: take `workers` for sweeps whose point is quality, and leave it
    at 1 where latency counts. The threads of the machine are divided among them, so that on a CPU their hardware
    class, and with it their key, differs from that of a cell that has the machine to itself.
    """

    options: LocalOptions

    def run(self, jobs: Sequence[CellJob], settings: Settings, progress: Progress = silent) -> Iterator[Done]:
        first = self._runner(settings, 0, progress)
        cannot = refused(jobs, first)
        yield from cannot
        jobs = [job for job in jobs if all(job is not done.job for done in cannot)]
        waiting: queue.SimpleQueue[CellJob] = queue.SimpleQueue()
        for job in jobs:
            waiting.put(job)
        ended: queue.SimpleQueue[Done | BaseException] = queue.SimpleQueue()
        workers = max(1, min(self.options.workers, len(jobs)))
        runners = [first, *(self._runner(settings, number, progress) for number in range(1, workers))]
        threads = [threading.Thread(target=_work, args=(runner, waiting, ended), daemon=True) for runner in runners]
        for thread in threads:
            thread.start()
        try:
            for _ in jobs:
                done = ended.get()
                if isinstance(done, BaseException):
                    raise done
                yield done
        finally:
            # Also where the caller has enough, or the user: nothing stays at work.
            for runner in runners:
                runner.stop()
            for thread in threads:
                thread.join()

    def _runner(self, settings: Settings, number: int, progress: Progress) -> Runner:
        workers = self.options.workers
        return settings.runner(
            threads=max(1, torch.get_num_threads() // workers),
            gpus=gpus_of(number, settings.processes, torch.cuda.device_count()) if workers > 1 else (),
            # Several cells in one line of progress would say nothing.
            progress=progress if workers == 1 else silent,
        )


def gpus_of(worker: int, wanted: int, present: int) -> tuple[int, ...]:
    """The GPUs of one worker: `wanted` of those that are `present`, all workers round the table."""
    return tuple(sorted({(worker * wanted + index) % present for index in range(wanted)})) if present else ()


def _work(runner: Runner, waiting: queue.SimpleQueue[CellJob], ended: queue.SimpleQueue[Done | BaseException]) -> None:
    try:
        while True:
            ended.put(run_job(waiting.get_nowait(), runner))
    except queue.Empty:
        return
    except BaseException as error:  # a mistake of ours: it is raised where the user sees it, not lost in a thread
        ended.put(error)
