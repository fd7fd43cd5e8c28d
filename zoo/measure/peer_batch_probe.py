"""``python -m zoo.measure.peer_batch_probe``: a peer's memory, then its rates by batch size (`zoo.measure.probe`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from zoo.measure.answering import Answer, weighed
from zoo.measure.peers import answer_of, peer_of
from zoo.measure.probe import PeerRequest, serve


def probe(request: PeerRequest) -> Iterator[dict[str, Any]]:
    """``{"memory": ...}``, then ``{"rate": ...}`` for each batch size: outputs alone, as nobody counts its tokens."""

    def load() -> Answer:
        peer = peer_of(request)
        peer.load()
        return answer_of(peer)

    yield from weighed(load, request)


if __name__ == "__main__":
    serve(probe, PeerRequest)
