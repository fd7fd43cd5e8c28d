"""Linear, warm-up-stable-decay and cyclic schedules against transformers', torch's and the papers' formulas."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts, CyclicLR, LRScheduler
from transformers import get_linear_schedule_with_warmup, get_wsd_schedule
from zoo_optimizers.schedule_options import CyclicOptions, LinearOptions, WarmupStableDecayOptions
from zoo_optimizers.schedules import Cyclic, Linear, WarmupStableDecay

from zoo.training.contracts import Schedule


def factors(schedule: Schedule, total: int) -> list[float]:
    return [schedule.factor(step, total) for step in range(total)]


def oracle(make: Callable[[torch.optim.Optimizer], LRScheduler], count: int) -> list[float]:
    """The first `count` rates of a scheduler over an optimizer with rate 1."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer)
    rates = []
    for _ in range(count):
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize("warmup", [0, 10])
def test_linear_is_transformers_after_the_warmup(warmup: int) -> None:
    ours = factors(Linear(LinearOptions(warmup=warmup)), 50)
    theirs = oracle(lambda optimizer: get_linear_schedule_with_warmup(optimizer, warmup, 50), 50)
    assert ours[warmup:] == pytest.approx(theirs[warmup:], rel=1e-12)
    assert ours[:warmup] == pytest.approx([(step + 1) / warmup for step in range(warmup)])


def test_linear_goes_down_to_its_floor_and_stays() -> None:
    schedule = Linear(LinearOptions(floor=0.2))
    assert schedule.factor(25, 50) == pytest.approx(0.6)
    assert schedule.factor(50, 50) == schedule.factor(99, 50) == pytest.approx(0.2)


@pytest.mark.parametrize("shape", ["1-sqrt", "linear", "cosine"])
@pytest.mark.parametrize("floor", [0.0, 0.1])
def test_warmup_stable_decay_is_transformers_after_the_warmup(shape: str, floor: float) -> None:
    options = WarmupStableDecayOptions.model_validate({"warmup": 8, "decay": 0.25, "shape": shape, "floor": floor})
    ours = factors(WarmupStableDecay(options), 60)
    theirs = oracle(
        lambda optimizer: get_wsd_schedule(
            optimizer, 8, 15, num_training_steps=60, decay_type=shape, min_lr_ratio=floor
        ),
        60,
    )
    assert ours[8:] == pytest.approx(theirs[8:], rel=1e-12)
    assert ours[:8] == pytest.approx([(step + 1) / 8 for step in range(8)])
    assert ours[8:46] == [1.0] * 38  # the decay's first step is still at the peak
    assert ours[46] < 1


def test_an_exponential_decay_halves_in_equal_times() -> None:
    """Hu et al. 2024, section 4: 0.5^((s - S) / T); from 1 down to 1/16 over 20 steps is a half-life of 5."""
    schedule = WarmupStableDecay(WarmupStableDecayOptions(decay=0.2, shape="exponential", floor=1 / 16))
    assert [schedule.factor(80 + step, 100) for step in (0, 5, 10, 15, 20)] == pytest.approx(
        [1, 1 / 2, 1 / 4, 1 / 8, 1 / 16]
    )


def test_an_exponential_decay_without_a_floor_is_refused() -> None:
    with pytest.raises(ValidationError, match="set floor to what it shall end at"):
        WarmupStableDecayOptions(shape="exponential")


def test_a_warmup_that_runs_into_the_decay_shortens_it() -> None:
    ours = factors(WarmupStableDecay(WarmupStableDecayOptions(warmup=8, decay=0.5, shape="linear")), 10)
    assert ours == pytest.approx([*[n / 8 for n in range(1, 9)], 1.0, 0.5])


def test_the_sawtooth_is_the_formula_of_swa() -> None:
    """Izmailov et al. 2018, section 3.2, with i counting steps from 1."""
    c, peak, low = 7, 1.0, 0.01
    ours = factors(Cyclic(CyclicOptions(cycle=c, low=low)), 30)
    for i in range(1, 31):
        t = ((i - 1) % c + 1) / c
        assert ours[i - 1] == pytest.approx((1 - t) * peak + t * low, rel=1e-12)


def test_the_sawtooth_is_torchs_cyclic_rate_without_its_way_up() -> None:
    ours = factors(Cyclic(CyclicOptions(cycle=7, low=0.1)), 30)
    theirs = oracle(lambda optimizer: CyclicLR(optimizer, 0.1, 1.0, 1e-12, 7, cycle_momentum=False), 31)[1:]
    assert ours == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize("cycle", [8, 9])
def test_the_triangle_is_torchs_cyclic_rate(cycle: int) -> None:
    ours = factors(Cyclic(CyclicOptions(cycle=cycle, low=0.1, shape="triangle")), 30)
    half = cycle / 2
    theirs = oracle(lambda optimizer: CyclicLR(optimizer, 0.1, 1.0, half, half, cycle_momentum=False), 30)
    assert ours == pytest.approx(theirs, rel=1e-9)


def test_the_cosine_is_torchs_with_restarts() -> None:
    ours = factors(Cyclic(CyclicOptions(cycle=6, low=0.05, shape="cosine")), 30)
    theirs = oracle(lambda optimizer: CosineAnnealingWarmRestarts(optimizer, 6, eta_min=0.05), 30)
    assert ours == pytest.approx(theirs, rel=1e-9)


def test_cycles_begin_after_the_flat_part_and_the_warmup() -> None:
    late = factors(Cyclic(CyclicOptions(cycle=5, low=0.5, start=0.5, warmup=2)), 20)
    assert late[:10] == [0.5] + [1.0] * 9
    assert late[10:] == pytest.approx([0.9, 0.8, 0.7, 0.6, 0.5] * 2)
    warmed = factors(Cyclic(CyclicOptions(cycle=5, low=0.5, warmup=3)), 8)
    assert warmed == pytest.approx([1 / 3, 2 / 3, 1.0, 0.9, 0.8, 0.7, 0.6, 0.5])


@pytest.mark.parametrize(
    "schedule",
    [
        Linear(LinearOptions(warmup=7)),
        Linear(LinearOptions(warmup=99)),
        WarmupStableDecay(WarmupStableDecayOptions(warmup=7)),
        WarmupStableDecay(WarmupStableDecayOptions(warmup=99)),
        WarmupStableDecay(WarmupStableDecayOptions(decay=1e-6)),
        Cyclic(CyclicOptions(cycle=1)),
        Cyclic(CyclicOptions(cycle=99, warmup=7)),
    ],
)
def test_no_step_of_a_run_is_wasted_on_a_rate_of_zero(schedule: Schedule) -> None:
    assert all(0 < factor <= 1 and math.isfinite(factor) for factor in factors(schedule, 40))
