"""The processes that train one model together, as torchrun and accelerate start them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from zoo.errors import InputError, ZooError
from zoo.spec import Spec

T = TypeVar("T")
_NAMES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_PATIENCE = timedelta(days=1)
"""How long the others wait while the first process prepares data, evaluates or writes."""


class ToldElsewhereError(ZooError):
    """Another process failed and says why; this one only ends with the same status."""

    def __init__(self, exit_code: int = 1) -> None:
        super().__init__("another process of this run failed, and says why")
        self.exit_code = exit_code


@dataclass(frozen=True)
class World:
    """This process's place among those that train together. One that trains alone is the first of one."""

    rank: int = 0
    size: int = 1
    control: Any = None
    """The group for everything but gradients: on the CPU, with patience."""

    @property
    def first(self) -> bool:
        """Whether this process writes what there is to write."""
        return self.rank == 0

    def agreed(self, task: Callable[[], T]) -> T:
        """Have the first process do `task`; every process gets its value, when it is done.

        The first raises what `task` raises, the others ToldElsewhereError.
        """
        if self.size == 1:
            return task()
        answer: list[Any] = [None, None]  # value, exit status of a failure
        failure: Exception | None = None
        if self.first:
            try:
                answer[0] = task()
            except Exception as error:
                failure, answer[1] = error, getattr(error, "exit_code", 1)
        dist.broadcast_object_list(answer, src=0, group=self.control)
        if failure is not None:
            raise failure
        if answer[1] is not None:
            raise ToldElsewhereError(answer[1])
        value: T = answer[0]
        return value

    def in_turn(self, task: Callable[[], T]) -> T:
        """The first process does `task`, then all others: for what the others then find done."""
        if self.size == 1:
            return task()
        mine: list[T] = []
        self.agreed(lambda: mine.append(task()))
        return mine[0] if mine else task()

    def together(self, task: Callable[[], T]) -> T:
        """Every process does `task`. The first that fails raises its error, all others then ToldElsewhereError."""
        if self.size == 1:
            return task()
        done: list[T] = []
        failure: Exception | None = None
        try:
            done.append(task())
        except Exception as error:
            failure = error
        codes: list[Any] = [None] * self.size
        mine = None if failure is None else getattr(failure, "exit_code", 1)
        dist.all_gather_object(codes, mine, group=self.control)
        failed = [rank for rank, code in enumerate(codes) if code is not None]
        if not failed:
            return done[0]
        if failure is not None and failed[0] == self.rank:
            raise failure
        raise ToldElsewhereError(codes[failed[0]])

    def gathered(self, value: T) -> list[T]:
        """The values of all processes, in the order of their ranks."""
        values: list[Any] = [value] * self.size
        if self.size > 1:
            dist.all_gather_object(values, value, group=self.control)
        return values

    def summed(self, numbers: Tensor) -> Tensor:
        """The sum over all processes, element by element; `numbers` is left as it is."""
        if self.size == 1:
            return numbers
        total = numbers.clone()
        dist.all_reduce(total)
        return total


def is_lost_connection(error: RuntimeError) -> bool:
    """Whether the error only tells that another process is gone, or does not answer."""
    # gloo raises plain RuntimeErrors: their text is all there is to know them by.
    return isinstance(error, dist.DistError) or "gloo" in str(error)


def refuse_uneven(spec: Spec, processes: int) -> None:
    """Raise InputError where the processes would never all have equally many micro-batches of a step.

    Steps with a number of tokens differ: of these, a process without a micro-batch repeats another's, with no weight.
    """
    if spec.training.step_tokens is not None:
        return
    count = spec.training.gradient_accumulation
    if count % processes:
        raise InputError(
            f"{processes} processes cannot share the micro-batches of a step: training.gradient_accumulation is "
            f"{count}, set it to a multiple of {processes}"
        )


def trains_on_gpus() -> bool:
    """Whether processes that train together take a GPU each: where there are any, and the user wants them."""
    on_cpus = os.environ.get("ACCELERATE_USE_CPU", "").lower() in {"1", "true", "yes"}
    return torch.cuda.is_available() and not on_cpus


def training_device() -> torch.device:
    """What this process trains on."""
    return torch.device("cuda" if trains_on_gpus() else "cpu")


def refuse_too_few_gpus(processes: int, present: int | None = None) -> None:
    """Raise InputError where this machine has GPUs, but not one for each process.

    `present` are those that the processes will see (default: all that this one sees).
    """
    if processes == 1 or not trains_on_gpus():
        return
    present = torch.cuda.device_count() if present is None else present
    if present < processes:
        raise InputError(
            f"{processes} processes need {processes} GPUs, this machine shows {present} "
            "(ACCELERATE_USE_CPU=true trains on the CPU)"
        )


def launched() -> bool:
    """Whether a launcher such as torchrun has started this process as one of several."""
    return all(name in os.environ for name in _NAMES) and int(os.environ["WORLD_SIZE"]) > 1


@contextmanager
def joined() -> Iterator[World]:
    """Join the other processes for the length of the block; alone where no launcher says that there are others.

    Gradients go over NCCL where there are GPUs, one for each process, else (or with ``ACCELERATE_USE_CPU=true``) over
    gloo. Raises InputError where a machine has fewer GPUs than processes.
    """
    if not launched():
        yield World()
        return
    local = int(os.environ["LOCAL_RANK"])
    on_gpus = trains_on_gpus()
    if on_gpus and local >= torch.cuda.device_count():
        raise InputError(
            f"process {local + 1} on this machine finds {torch.cuda.device_count()} GPUs: each process needs its own "
            "(ACCELERATE_USE_CPU=true trains on the CPU)"
        )
    if on_gpus:
        torch.cuda.set_device(local)
    ours = not dist.is_initialized()
    if ours:
        dist.init_process_group("nccl" if on_gpus else "gloo")
    yield World(dist.get_rank(), dist.get_world_size(), dist.new_group(backend="gloo", timeout=_PATIENCE))
    # Not after a failure: others may still wait for this process, and learn from its end that it is gone.
    if ours:
        dist.destroy_process_group()
