"""What a peer is worth: its answers scored as a model's are, and timed in the same way. It computes on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch

from zoo.measure.answering import Answer
from zoo.measure.evaluate import Evaluation, score_outputs
from zoo.measure.performance import Performance, measure_performances, sent_sources
from zoo.measure.probe import PeerRequest
from zoo.measure.reading import source_of
from zoo.spec.options import Chosen, Options, Slot
from zoo.spec.peer_spec import PeerSpec
from zoo.tasks.contracts import Example, Metric, Progress, silent
from zoo.tasks.images import Source
from zoo.tasks.peers import Peer

TOGETHER = 64
"""Sources that are given at once, between two reports of progress."""


class _Choice(Options):
    peer: Annotated[Chosen, Slot("peer")]


def peer_of(request: PeerRequest) -> Peer:
    """The peer of a request, not loaded. Raises pydantic's ValidationError where no such one is installed."""
    chosen = _Choice.model_validate({"peer": request.peer}).peer
    peer: Peer = chosen.create(request.threads)
    return peer


def answer_of(peer: Peer) -> Answer:
    """What answers, as it is timed. The tokens of a peer are its own: nobody counts them."""

    def answer(sources: Sequence[Source]) -> None:
        peer.answer(sources)

    return answer


def evaluate_peer(
    spec: PeerSpec,
    examples: Sequence[Example],
    *,
    metrics: Sequence[Metric] | None = None,
    progress: Progress = silent,
) -> Evaluation:
    """Have the peer of a spec answer every example and score that, `metrics` as in `zoo.measure.evaluate`.

    Metrics that read likelihoods give no score: a peer has none to show. Raises ValueError where the peer breaks its
    contract.
    """
    peer: Peer = spec.peer.create(torch.get_num_threads())
    peer.load()
    outputs: list[str] = []
    for start in range(0, len(examples), TOGETHER):
        some = [source_of(example) for example in examples[start : start + TOGETHER]]
        answers = peer.answer(some)
        if len(answers) != len(some) or not all(isinstance(answer, str) for answer in answers):
            raise ValueError(f"the peer '{spec.peer.id}' gave {len(answers)} answers to {len(some)} sources")
        outputs += answers
        progress("read", len(outputs), len(examples))
    return score_outputs(outputs, examples, spec, metrics=metrics)


def measure_peer(spec: PeerSpec, sources: Sequence[Source], *, progress: Progress = silent) -> Performance:
    """Everything that `spec.measurement` asks for; latency is that of a call with one source.

    Errors are those of `zoo.measure.performance.measure_performance`.
    """
    request = PeerRequest(
        peer=spec.peer.plain(),
        sentences=sent_sources(sources),
        measurement=spec.measurement,
        device="cpu",
        threads=torch.get_num_threads(),
    )
    return measure_performances([request], progress=progress)[0]
