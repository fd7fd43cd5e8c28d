"""End-to-end latency: from a sentence to its output, one sentence at a time."""

from __future__ import annotations

import gc
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from zoo.measure.distribution import Measured
from zoo.measure.waiting import waiter

if TYPE_CHECKING:
    import torch

T = TypeVar("T")


@contextmanager
def no_collector() -> Iterator[None]:
    """Run the garbage collector, then leave it off inside, as `timeit` does."""
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def timed_calls(
    call: Callable[[T], object],
    arguments: Sequence[T],
    *,
    samples: int,
    device: torch.device | None = None,
) -> Measured:
    """Wall-clock seconds of ``call(argument)``, cycling through `arguments`; `zoo.measure.warmup` comes first.

    The device is synchronised before each start and each stop, so that queued work counts where it was asked for.
    The garbage collector runs before and is off inside. Raises ValueError without arguments or samples.
    """
    if not arguments:
        raise ValueError("latency needs at least one sentence")
    if samples < 1:
        raise ValueError(f"latency samples {samples}: expected 1 or more")
    wait = waiter(device)  # asked once: whatever is done in the window is measured
    now = time.perf_counter
    values: list[float] = []
    with no_collector():
        for argument in itertools.islice(itertools.cycle(arguments), samples):
            if wait is not None:
                wait()
            start = now()
            call(argument)
            if wait is not None:
                wait()
            values.append(now() - start)
    return Measured(tuple(values), "s")
