"""What measuring a call costs: ours, optimum-benchmark's and a bare loop, in turn in one process. JSON on output.

Run it with the Python of an environment that holds both (benchmarks/test_peers.py does). Each of `rounds` rounds makes
the same calls three times over: bare, in `zoo.measure.latency.timed_calls`, and in optimum-benchmark's latency session
as its inference scenario writes it. Two calls are measured: one that does nothing, where the whole time is overhead,
and greedy generation of one sentence by a small MarianMTModel.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable
from importlib import metadata

import torch
from optimum_benchmark.trackers.latency import LatencySessionTracker
from transformers import MarianConfig, MarianMTModel

from zoo.measure.latency import timed_calls

Call = Callable[[object], object]


def bare(call: Call, calls: int) -> list[float]:
    for _ in range(calls):
        call(None)
    return []


def ours(call: Call, calls: int) -> list[float]:
    return list(timed_calls(call, [None], samples=calls).values)


def theirs(call: Call, calls: int) -> list[float]:
    """The loop of optimum-benchmark 0.6.0, InferenceScenario.run_text_generation_latency_tracking."""
    tracker = LatencySessionTracker(device="cpu", backend="pytorch")
    duration = 0.0
    with tracker.session():
        while tracker.elapsed() < duration or tracker.count() < calls:
            with tracker.track():
                call(None)
        return list(tracker.get_latency().values)


LOOPS = {"bare": bare, "ours": ours, "theirs": theirs}


def measured(call: Call, calls: int, rounds: int) -> dict[str, list[list[float]]]:
    """For each loop and round: seconds a call by the wall, and the mean of what the loop reports (none for bare)."""
    found: dict[str, list[list[float]]] = {name: [] for name in LOOPS}
    names = list(LOOPS)
    for round_ in range(rounds):
        for name in names[round_ % 3 :] + names[: round_ % 3]:
            # Ours runs the garbage collector once before it times. What there is to look through in this process is no
            # part of a call's cost.
            gc.collect()
            gc.freeze()
            start = time.perf_counter()
            reported = LOOPS[name](call, calls)
            seconds = time.perf_counter() - start
            found[name].append([seconds / calls, sum(reported) / calls])
    return found


def nothing(_: object) -> None:
    """A call that takes no time of its own."""


def generation() -> Call:
    torch.manual_seed(0)
    config = MarianConfig(
        vocab_size=1000,
        d_model=64,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=128,
        decoder_ffn_dim=128,
        pad_token_id=0,
        eos_token_id=1,
        decoder_start_token_id=0,
        forced_eos_token_id=None,
    )
    model = MarianMTModel(config).eval()
    source = torch.randint(4, 1000, (1, 12))

    def generate(_: object) -> object:
        with torch.no_grad():
            return model.generate(source, max_new_tokens=4, min_new_tokens=4, num_beams=1, do_sample=False)

    return generate


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 21
    torch.set_num_threads(1)
    generate = generation()
    for _ in range(5):
        generate(None)
    document = {
        "versions": {name: metadata.version(name) for name in ("optimum-benchmark", "torch", "transformers")},
        "nothing": measured(nothing, 20_000, rounds),
        "generation": measured(generate, 50, rounds),
    }
    print(json.dumps(document))


if __name__ == "__main__":
    main()
