"""``python -m zoo.measure.peer_batch_probe``: a peer's memory, then its rates by batch size (`zoo.measure.probe`)."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any

import psutil

from zoo.measure.memory import MemoryReading, peak_resident_bytes, resident_bytes
from zoo.measure.peers import peer_of
from zoo.measure.probe import PeerRequest, serve
from zoo.measure.throughput import REPEATS, Rate, batch_of

_BETWEEN_LOOKS = 0.005
"""Seconds."""


def probe(request: PeerRequest) -> Iterator[dict[str, Any]]:
    """``{"memory": ...}``, then ``{"rate": ...}`` for each batch size: outputs alone, as nobody counts its tokens."""
    sources, batches = request.sources(), sorted(set(request.measurement.throughput_batches))
    before = resident_bytes()
    peer = peer_of(request)
    peer.load()
    after = resident_bytes()
    with _children_watched() as largest:
        peer.answer(batch_of(sources, batches[0]))
    peak = peak_resident_bytes() + largest[0]
    yield {"memory": asdict(MemoryReading("rss", peak, before, after, batch=batches[0]))}
    for batch in batches:
        stream = batch_of(sources, batch * REPEATS)
        peer.answer(stream[:batch])
        start = time.perf_counter()
        for first in range(0, len(stream), batch):
            peer.answer(stream[first : first + batch])
        seconds = time.perf_counter() - start
        yield {"rate": asdict(Rate(batch, "ok", sentences_per_second=len(stream) / seconds))}


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


if __name__ == "__main__":
    serve(probe, PeerRequest)
