from __future__ import annotations

import pytest
import torch

from zoo.measure.device_time import device_times
from zoo.measure.warmup import warm_up

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
GPU = torch.device("cuda", 0)


def test_on_a_cpu_there_is_none_and_nothing_is_called() -> None:
    seen: list[str] = []
    assert device_times(seen.append, ["a"], samples=3, device=torch.device("cpu")) is None
    assert seen == []


def test_no_argument_and_no_sample_are_refused_on_every_device() -> None:
    with pytest.raises(ValueError, match="at least one sentence"):
        device_times(str, [], samples=1, device=torch.device("cpu"))
    with pytest.raises(ValueError, match="samples 0"):
        device_times(str, ["a"], samples=0, device=torch.device("cpu"))


@pytest.mark.gpu
@needs_gpu
def test_twice_the_cycles_take_twice_as_long() -> None:
    """A kernel that spins for a given number of clock cycles."""
    cycles = 20_000_000
    warm_up(torch.cuda._sleep, [cycles], at_least=5, device=GPU)
    found = device_times(torch.cuda._sleep, [cycles, 2 * cycles], samples=40, device=GPU)
    assert found is not None
    once, twice = sorted(found.values[0::2]), sorted(found.values[1::2])
    assert twice[10] / once[10] == pytest.approx(2.0, rel=0.02)


@pytest.mark.gpu
@needs_gpu
def test_the_cache_is_emptied_outside_the_window() -> None:
    """A tensor that the L2 cache holds is read from it, unless the cache is emptied first; emptying is not counted."""
    cache = torch.cuda.get_device_properties(GPU).L2_cache_size
    small = torch.ones(cache // 16, device=GPU)  # a quarter of the cache
    out = torch.empty((), device=GPU)

    def read(_: None) -> None:
        torch.sum(small, dim=0, out=out)

    warm_up(read, [None], at_least=20, device=GPU)
    kept = device_times(read, [None], samples=200, device=GPU)
    flushed = device_times(read, [None], samples=200, device=GPU, flush_cache=True)
    filler = torch.empty(2 * cache, dtype=torch.uint8, device=GPU)
    filling = device_times(lambda _: filler.zero_(), [None], samples=200, device=GPU)
    assert kept is not None
    assert flushed is not None
    assert filling is not None
    assert kept.median < flushed.median < kept.median + 0.5 * filling.median
