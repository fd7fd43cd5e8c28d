"""Processes that make batches ahead of their use."""

from __future__ import annotations

import multiprocessing
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from zoo.errors import ZooError
from zoo.lifeline import end_with_parent
from zoo.training.data.batching import MicroBatch
from zoo.training.data.collate import Batch

Collate = Callable[[MicroBatch], Batch]
AHEAD = 4
"""Batches that each worker makes ahead."""
_DEAD = re.compile(r"DataLoader worker \(pid(?:\(s\))? [\d, ]+\) (?:is killed by signal: (\w+)|exited unexpectedly)")


class DataWorkerDiedError(ZooError):
    """A worker ended without a word."""

    def __init__(self, signal: str | None) -> None:
        how = f" by signal {signal}" if signal else ""
        super().__init__(
            f"a data worker ended{how}, most often for lack of memory: the run can be resumed, and "
            "training.data_workers: 0 does without them"
        )


def death_of_worker(error: BaseException) -> DataWorkerDiedError | None:
    """What torch's `error` says of a worker that is gone, wherever it came up; None where it says something else."""
    # torch raises a plain RuntimeError, out of whatever the main thread is doing: its text is all there is.
    found = _DEAD.search(str(error))
    if found is None:
        return None
    # The signal is often in the text of the first of two errors.
    first = _DEAD.search(str(error.__cause__ or error.__context__ or error))
    return DataWorkerDiedError(found[1] or (first[1] if first else None))


def collated(plan: Iterable[MicroBatch], collate: Collate, workers: int) -> Iterator[Batch]:
    """`collate` of everything in `plan`, in its order, by that many processes.

    They are started afresh, as a fork would copy locks that other threads hold, and end with this process, however it
    ends. torch's global generator is left alone.
    """
    context = multiprocessing.get_context("spawn")
    reading, writing = context.Pipe(duplex=False)
    with closing(reading), closing(writing):
        loader: DataLoader[_Sent] = DataLoader(
            _Collated(collate),
            batch_size=None,
            sampler=plan,
            num_workers=workers,
            prefetch_factor=AHEAD,
            collate_fn=_as_it_is,  # type: ignore[arg-type]
            multiprocessing_context=context,
            worker_init_fn=_Lifeline(reading),
            generator=torch.Generator(),  # else it would draw a number from the global one
        )
        batches = iter(loader)
        try:
            for sent in batches:
                yield _received(sent)
        finally:
            # Before their lifeline is cut, which would look as if they had died.
            batches._shutdown_workers()  # type: ignore[attr-defined]


_Sent = tuple[type[Batch], dict[str, Any]]


class _Collated(Dataset[_Sent]):
    """What a worker does with its part of the plan."""

    def __init__(self, collate: Collate) -> None:
        self._collate = collate

    def __getitem__(self, examples: MicroBatch) -> _Sent:
        # Arrays go through a pipe; a tensor would cost a file descriptor and a piece of shared memory each.
        batch = self._collate(examples)
        fields = vars(batch).items()
        return type(batch), {name: value.numpy() if isinstance(value, Tensor) else value for name, value in fields}


def _received(sent: _Sent) -> Batch:
    kind, items = sent
    fields: dict[str, Any] = {
        name: torch.from_numpy(item) if isinstance(item, np.ndarray) else item for name, item in items.items()
    }
    return kind(**fields)


def _as_it_is(item: _Sent) -> _Sent:
    return item


class _Lifeline:
    """Ends a worker as soon as the other end of the pipe is closed."""

    def __init__(self, reading: Connection) -> None:
        self._reading = reading

    def __call__(self, worker: int) -> None:
        end_with_parent(self._reading.fileno())
