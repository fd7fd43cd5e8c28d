"""``python -m zoo.measure.peer_latency_probe``: how long a peer takes for one source (`zoo.measure.probe`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from zoo.measure.latency import timed_calls
from zoo.measure.peers import peer_of
from zoo.measure.probe import PeerRequest, serve
from zoo.measure.warmup import warm_up
from zoo.tasks.images import Source


def probe(request: PeerRequest) -> Iterator[dict[str, Any]]:
    """One answer: samples in seconds of the time from a source in memory to its text."""
    peer, sources = peer_of(request), request.sources()
    precision = peer.facts().precision
    peer.load()

    def answer(source: Source) -> object:
        return peer.answer([source])

    warmup = warm_up(answer, sources, at_least=request.measurement.warmup)
    latency = timed_calls(answer, sources, samples=request.measurement.latency_samples)
    parts = dict.fromkeys(("device_time", "encode", "decode_per_token"))
    yield {"dtype": precision, "attention": "none", "warmup": warmup, "latency": latency.values, **parts}


if __name__ == "__main__":
    serve(probe, PeerRequest)
