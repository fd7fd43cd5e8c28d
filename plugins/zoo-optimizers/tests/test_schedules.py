"""Schedules against transformers' and the papers' formulas."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from transformers import get_cosine_with_min_lr_schedule_with_warmup, get_inverse_sqrt_schedule
from zoo_optimizers.options import ConstantOptions, CosineOptions, InverseSqrtOptions
from zoo_optimizers.schedules import Constant, Cosine, InverseSqrt


def oracle_factors(make: type[LambdaLR], count: int, **arguments: float) -> list[float]:
    """The first `count` rates of a transformers schedule over an optimizer with rate 1."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer, **arguments)
    rates = []
    for _ in range(count):
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize("warmup", [1, 10])
def test_inverse_sqrt_is_transformers_schedule_one_step_on(warmup: int) -> None:
    """transformers wastes its first step on a rate of 0; the paper counts steps from 1."""
    schedule = InverseSqrt(InverseSqrtOptions(warmup=warmup))
    ours = [schedule.factor(step, 60) for step in range(60)]
    theirs = oracle_factors(get_inverse_sqrt_schedule, 61, num_warmup_steps=warmup)[1:]
    assert ours == pytest.approx(theirs, rel=1e-12)


def test_inverse_sqrt_has_the_shape_of_the_paper() -> None:
    """Vaswani et al. 2017, equation 3: lrate = d^-0.5 min(n^-0.5, n W^-1.5)."""
    d, warmup = 512, 4000
    schedule = InverseSqrt(InverseSqrtOptions(warmup=warmup))
    peak = d**-0.5 * warmup**-0.5
    for n in (1, 100, 4000, 4001, 100_000):
        paper = d**-0.5 * min(n**-0.5, n * warmup**-1.5)
        assert schedule.factor(n - 1, 100_000) * peak == pytest.approx(paper, rel=1e-12)


@pytest.mark.parametrize(("warmup", "floor"), [(0, 0.0), (10, 0.0), (10, 0.1)])
def test_cosine_is_transformers_cosine_after_the_warmup(warmup: int, floor: float) -> None:
    schedule = Cosine(CosineOptions(warmup=warmup, floor=floor))
    ours = [schedule.factor(step, 50) for step in range(50)]
    theirs = oracle_factors(
        get_cosine_with_min_lr_schedule_with_warmup,
        50,
        num_warmup_steps=warmup,
        num_training_steps=50,
        min_lr_rate=floor,
    )
    assert ours[warmup:] == pytest.approx(theirs[warmup:], rel=1e-9, abs=1e-12)
    assert ours[:warmup] == pytest.approx([(step + 1) / warmup for step in range(warmup)])


def test_cosine_stays_at_its_floor_past_the_end() -> None:
    schedule = Cosine(CosineOptions(floor=0.2))
    assert schedule.factor(50, 50) == pytest.approx(0.2)
    assert schedule.factor(99, 50) == pytest.approx(0.2)


def test_constant_holds_its_rate_after_its_warmup() -> None:
    assert [Constant(ConstantOptions()).factor(step, 9) for step in (0, 4, 8)] == [1.0, 1.0, 1.0]
    warmed = Constant(ConstantOptions(warmup=4))
    assert [warmed.factor(step, 9) for step in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    "schedule",
    [
        InverseSqrt(InverseSqrtOptions(warmup=7)),
        Cosine(CosineOptions(warmup=7)),
        Cosine(CosineOptions(warmup=99)),
        Constant(ConstantOptions(warmup=7)),
    ],
)
def test_no_step_of_a_run_is_wasted_on_a_rate_of_zero(schedule: InverseSqrt | Cosine | Constant) -> None:
    factors = [schedule.factor(step, 40) for step in range(40)]
    assert all(0 < factor <= 1 and math.isfinite(factor) for factor in factors)
