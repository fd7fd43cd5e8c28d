"""Warming up until it no longer helps: caches, lazy initialisation, compilation, clocks."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from zoo.measure.waiting import waiter

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

WINDOW = 5
"""Calls whose median is looked at."""
TOLERANCE = 0.05
"""A window that is faster than the one before by less than this share has stopped falling."""
MOST = 200
"""Calls after which warming up ends, whatever the times do."""


def warm_up(
    call: Callable[[T], object],
    arguments: Sequence[T],
    *,
    at_least: int,
    device: torch.device | None = None,
    at_most: int = MOST,
) -> int:
    """Call until it is warm, and return how many calls that took.

    First `at_least` calls through all `arguments`; then windows of the same few arguments, until the median of a window
    is no more than TOLERANCE below the one before, or `at_most` calls are made in all (never fewer than `at_least`).
    Raises ValueError without arguments.
    """
    if not arguments:
        raise ValueError("warming up needs at least one sentence")
    wait = waiter(device) or _nothing
    for argument in itertools.islice(itertools.cycle(arguments), at_least):
        call(argument)
    calls = at_least
    # The same arguments in every window: their medians differ by warmth alone.
    window = list(itertools.islice(itertools.cycle(arguments), WINDOW))
    before = float("inf")
    while calls + WINDOW <= at_most:
        seconds = []
        for argument in window:
            wait()
            start = time.perf_counter()
            call(argument)
            wait()
            seconds.append(time.perf_counter() - start)
        calls += WINDOW
        median = statistics.median(seconds)
        if median >= before * (1 - TOLERANCE):
            break
        before = median
    return calls


def _nothing() -> None:
    """Nothing is queued."""
