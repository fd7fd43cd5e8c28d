"""``python -m zoo.measure.peer_latency_probe``: how long a peer takes for one source (`zoo.measure.probe`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from zoo.measure.answering import clocked
from zoo.measure.peers import answer_of, peer_of
from zoo.measure.probe import PeerRequest, serve


def probe(request: PeerRequest) -> Iterator[dict[str, Any]]:
    """One answer: samples in seconds of the time from a source in memory to its text."""
    peer = peer_of(request)
    precision = peer.facts().precision
    peer.load()
    yield clocked(answer_of(peer), request, precision=precision)


if __name__ == "__main__":
    serve(probe, PeerRequest)
