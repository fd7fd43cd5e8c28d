"""Time on the GPU's own clock, by CUDA events."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from zoo.measure.device import device_kind
from zoo.measure.distribution import Measured
from zoo.measure.latency import no_collector

T = TypeVar("T")

_UNKNOWN_CACHE = 256 * 2**20
"""Bytes that overwrite the L2 cache of any GPU to date, where torch does not tell its size."""


def device_times(
    call: Callable[[T], object],
    arguments: Sequence[T],
    *,
    samples: int,
    device: torch.device,
    flush_cache: bool = False,
) -> Measured | None:
    """Seconds between two events of the device's stream around ``call(argument)``; None on a CPU, which has none.

    Gaps in which the GPU waits for the host lie between the events too. Nothing waits for the device until the last
    sample is queued, unless `call` does. With `flush_cache` the L2 cache is overwritten before each sample, outside its
    window. Warm up first (`zoo.measure.warmup`). Raises ValueError without arguments or samples.
    """
    if not arguments:
        raise ValueError("device time needs at least one sentence")
    if samples < 1:
        raise ValueError(f"device time samples {samples}: expected 1 or more")
    if device_kind(device) == "cpu":
        return None
    with torch.cuda.device(device), no_collector():
        cache = _cache_filler(device) if flush_cache else None
        pairs = [_event_pair() for _ in range(samples)]
        torch.cuda.synchronize(device)
        for (start, stop), argument in zip(pairs, itertools.cycle(arguments), strict=False):
            if cache is not None:
                cache.zero_()
            start.record()
            call(argument)
            stop.record()
        torch.cuda.synchronize(device)
        return Measured(tuple(start.elapsed_time(stop) / 1000 for start, stop in pairs), "s")


def _event_pair() -> tuple[torch.cuda.Event, torch.cuda.Event]:
    event: Callable[..., torch.cuda.Event] = torch.cuda.Event
    return event(enable_timing=True), event(enable_timing=True)


def _cache_filler(device: torch.device) -> torch.Tensor:
    """A tensor of twice the L2 cache."""
    cache = getattr(torch.cuda.get_device_properties(device), "L2_cache_size", 0)
    return torch.empty(2 * cache or _UNKNOWN_CACHE, dtype=torch.uint8, device=device)
