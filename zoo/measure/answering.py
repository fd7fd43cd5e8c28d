"""Clocks, memory and rates of what only answers sources, such as a peer or an export. Torch-free.

What computes on the CPU and is not ours to look into has an end-to-end latency and none of its parts.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any

import psutil

from zoo.measure.batches import REPEATS, Rate, batch_of
from zoo.measure.latency import timed_calls
from zoo.measure.memory import MemoryReading, peak_resident_bytes, resident_bytes
from zoo.measure.probe import Request
from zoo.measure.warmup import warm_up
from zoo.tasks.images import Source

Answer = Callable[[Sequence[Source]], int | None]
"""Answers all sources, and returns how many tokens it wrote; None where nobody counts them."""

_BETWEEN_LOOKS = 0.005
"""Seconds."""


def clocked(answer: Answer, request: Request, *, precision: str) -> dict[str, Any]:
    """A latency probe's answer: samples in seconds of the time from a source in memory to its output."""
    sources = request.sources()

    def one(source: Source) -> object:
        return answer([source])

    warmup = warm_up(one, sources, at_least=request.measurement.warmup)
    latency = timed_calls(one, sources, samples=request.measurement.latency_samples)
    parts = dict.fromkeys(("device_time", "encode", "decode_per_token"))
    return {"dtype": precision, "attention": "none", "warmup": warmup, "latency": latency.values, **parts}


def weighed(load: Callable[[], Answer], request: Request) -> Iterator[dict[str, Any]]:
    """A batch probe's answers: ``{"memory": ...}``, then ``{"rate": ...}`` for each batch size.

    `load` makes ready what answers: what it takes is the memory of the weights. True only in a process that did nothing
    before.
    """
    sources, batches = request.sources(), sorted(set(request.measurement.throughput_batches))
    before = resident_bytes()
    answer = load()
    after = resident_bytes()
    with _children_watched() as largest:
        answer(batch_of(sources, batches[0]))
    peak = peak_resident_bytes() + largest[0]
    yield {"memory": asdict(MemoryReading("rss", peak, before, after, batch=batches[0]))}
    for batch in batches:
        yield {"rate": asdict(_rate(answer, sources, batch))}


def _rate(answer: Answer, sources: Sequence[Source], batch: int) -> Rate:
    """Over `REPEATS` batches, after one that is not counted."""
    stream = batch_of(sources, batch * REPEATS)
    answer(stream[:batch])
    start = time.perf_counter()
    written = [answer(stream[first : first + batch]) for first in range(0, len(stream), batch)]
    seconds = time.perf_counter() - start
    counts = [tokens for tokens in written if tokens is not None]
    tokens = sum(counts) / seconds if len(counts) == len(written) else None
    return Rate(batch, "ok", tokens, len(stream) / seconds)


@contextmanager
def _children_watched() -> Iterator[list[int]]:
    """The most bytes that are resident at once in the processes started inside: a peer that is a program of its own has
    its memory there. Looked at every few milliseconds, as the system's own peak of a child begins with its parent's.
    """
    largest, ended, own = [0], threading.Event(), psutil.Process()
    command = own.cmdline()

    def watch() -> None:
        while not ended.wait(_BETWEEN_LOOKS):
            together = 0
            for child in own.children(recursive=True):
                with suppress(psutil.Error):
                    # Until it runs its own program, a child is this process once more.
                    together += 0 if child.cmdline() == command else child.memory_info().rss
            largest[0] = max(largest[0], together)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield largest
    finally:
        ended.set()
        watcher.join()
