from __future__ import annotations

import gc
import time

import pytest
import torch

from zoo.measure.latency import timed_calls
from zoo.measure.warmup import warm_up


def test_twice_the_sleep_takes_twice_as_long() -> None:
    once = timed_calls(time.sleep, [0.02], samples=9)
    twice = timed_calls(time.sleep, [0.04], samples=9)
    assert once.unit == "s"
    assert twice.median / once.median == pytest.approx(2.0, rel=0.15)
    assert once.minimum >= 0.02


def test_arguments_are_cycled_in_order() -> None:
    seen: list[str] = []
    measured = timed_calls(seen.append, ["a", "b", "c"], samples=4)
    assert seen == ["a", "b", "c", "a"]
    assert len(measured.values) == 4


def test_the_garbage_collector_is_off_inside_and_back_on_after_a_failure() -> None:
    states: list[bool] = []

    def fail(_: int) -> None:
        states.append(gc.isenabled())
        raise RuntimeError

    with pytest.raises(RuntimeError):
        timed_calls(fail, [1], samples=1)
    assert states == [False]
    assert gc.isenabled()


def test_agreement_with_torchs_own_timer() -> None:
    """In a quick test to within what a busy machine allows; to within 3% in benchmarks/test_instruments.py."""
    from torch.utils.benchmark import Timer

    a = torch.randn(256, 256)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        timer = Timer("a @ a", globals={"a": a}, num_threads=1)
        ours, theirs = [], []
        for _ in range(5):
            ours += timed_calls(lambda a: a @ a, [a], samples=40).values
            theirs += [timer.timeit(1).median for _ in range(40)]
    finally:
        torch.set_num_threads(threads)
    # Minima, taken in turn: what another process on this machine adds to either is not what is compared.
    assert min(ours) == pytest.approx(min(theirs), rel=0.25)


def test_no_sentence_and_no_sample_are_refused() -> None:
    with pytest.raises(ValueError, match="sentence"):
        timed_calls(str, [], samples=1)
    with pytest.raises(ValueError, match="samples 0"):
        timed_calls(str, ["a"], samples=0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_queued_work_counts_where_it_was_asked_for() -> None:
    device = torch.device("cuda", 0)
    warm_up(torch.cuda._sleep, [50_000_000], at_least=2, device=device)
    once = timed_calls(torch.cuda._sleep, [50_000_000], samples=9, device=device)
    twice = timed_calls(torch.cuda._sleep, [100_000_000], samples=9, device=device)
    assert twice.median / once.median == pytest.approx(2.0, rel=0.1)
