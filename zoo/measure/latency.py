"""End-to-end latency: from a sentence to its output, one sentence at a time."""

from __future__ import annotations

import gc
import itertools
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from zoo.measure.device import synchronize
from zoo.measure.distribution import Measured

T = TypeVar("T")


def timed_calls(
    call: Callable[[T], object],
    arguments: Sequence[T],
    *,
    samples: int,
    warmup: int,
    device: torch.device | None = None,
) -> Measured:
    """Wall-clock seconds of ``call(argument)``, cycling through `arguments`.

    The device is synchronised before each start and each stop, so that queued work counts where it was asked for.
    The garbage collector runs before and is off inside, as in `timeit`. Raises ValueError without arguments or samples.
    """
    if not arguments:
        raise ValueError("latency needs at least one sentence")
    if samples < 1:
        raise ValueError(f"latency samples {samples}: expected 1 or more")
    device = device or torch.device("cpu")
    stream = itertools.cycle(arguments)
    for argument in itertools.islice(stream, warmup):
        call(argument)
    stream = itertools.cycle(arguments)
    values: list[float] = []
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for argument in itertools.islice(stream, samples):
            synchronize(device)
            start = time.perf_counter()
            call(argument)
            synchronize(device)
            values.append(time.perf_counter() - start)
    finally:
        if collecting:
            gc.enable()
    return Measured(tuple(values), "s")
