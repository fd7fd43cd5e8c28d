"""Measuring in turn, and verdicts that know their noise."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy.stats import binom

from zoo.measure.distribution import Measured, pooled
from zoo.measure.interleaved import compared, interleaved


def test_models_take_turns_and_each_is_first_every_other_round() -> None:
    order: list[str] = []

    def probe(name: str):
        def run() -> int:
            order.append(name)
            return len(order)

        return run

    found = interleaved([probe("A"), probe("B"), probe("C")], 3)
    assert "".join(order) == "ABC" + "CBA" + "ABC"
    assert found == [[1, 6, 7], [2, 5, 8], [3, 4, 9]]
    with pytest.raises(ValueError, match="rounds 0"):
        interleaved([probe("A")], 0)


def processes(*medians: float) -> Measured:
    return pooled([Measured((median,), "s") for median in medians])


def test_a_difference_beyond_all_noise_is_told_with_its_direction() -> None:
    first = {"latency": processes(1.00, 1.01, 1.02, 1.03, 1.04)}
    second = {"latency": processes(2.00, 2.02, 2.04, 2.06, 2.08)}
    (found,) = compared(first, second)
    assert found.verdict == "slower"
    assert found.ratio == pytest.approx(2.0)
    assert found.interval is not None
    assert found.interval[0] < 2.0 < found.interval[1]
    (back,) = compared(second, first)
    assert back.verdict == "faster"
    assert back.interval == pytest.approx((1 / found.interval[1], 1 / found.interval[0]))


def test_differences_as_large_as_those_between_processes_are_noise() -> None:
    first = {"latency": processes(1.0, 1.5, 1.1, 1.4, 1.2)}
    second = {"latency": processes(1.3, 1.6, 1.05, 1.45, 1.25)}
    (found,) = compared(first, second)
    assert found.verdict == "within noise"


def test_too_few_processes_give_no_verdict() -> None:
    (found,) = compared({"latency": processes(1.0, 1.0)}, {"latency": processes(9.0, 9.0)})
    assert (found.verdict, found.interval) == ("cannot tell", None)


def test_only_what_both_have_is_compared() -> None:
    one = processes(1.0, 1.0, 1.0, 1.0, 1.0)
    found = compared({"latency": one, "device_time": one}, {"latency": one, "encode": one})
    assert [item.quantity for item in found] == ["latency"]


def at_most(comparisons: int) -> int:
    """The most alarms that a rate of 5% gives, but for one time in a thousand."""
    return int(binom.ppf(0.999, comparisons, 0.05))


class Machine:
    """Gives the medians of three quantities of equal processes, with noise: lognormal, of rare spikes, or a drift."""

    def __init__(self, generator: np.random.Generator, noise: str, moments: int) -> None:
        self.generator, self.noise, self.moments = generator, noise, moments
        self.moment = 0

    def process(self) -> list[float]:
        self.moment += 1
        factor = 1.0
        if self.noise == "spikes" and self.generator.random() < 0.2:
            factor = 8.0
        if self.noise == "drift":
            factor += self.moment / self.moments
        return list(factor * self.generator.lognormal(0, 0.1, size=3))


@pytest.mark.parametrize("rounds", [5, 10])
@pytest.mark.parametrize("noise", ["lognormal", "spikes", "drift"])
def test_equal_models_are_told_apart_in_at_most_five_of_a_hundred_comparisons(rounds: int, noise: str) -> None:
    """Three quantities a comparison; a false alarm in any of them counts."""
    machine = Machine(np.random.default_rng(7), noise, 2 * rounds)
    comparisons, alarms = 2500, 0
    for _ in range(comparisons):
        machine.moment = 0
        sides = [
            {f"q{index}": processes(*column) for index, column in enumerate(zip(*side, strict=True))}
            for side in interleaved([machine.process, machine.process], rounds)
        ]
        alarms += any(item.verdict != "within noise" for item in compared(*sides))
    assert alarms <= at_most(comparisons)


@pytest.mark.slow
@pytest.mark.once
def test_a_function_against_itself_on_this_machines_own_noise() -> None:
    """Noise recorded here and now, in blocks as processes would see it, dealt to A and B in turn from random places."""
    matrix = np.random.default_rng(0).standard_normal((60, 60))
    recorded = []
    for _ in range(6000):
        start = time.perf_counter()
        matrix @ matrix
        recorded.append(time.perf_counter() - start)
    generator = np.random.default_rng(3)
    size, rounds, comparisons, alarms = 20, 5, 1000, 0
    for _ in range(comparisons):
        place = int(generator.integers(0, len(recorded) - size * 2 * rounds))

        def process() -> Measured:
            nonlocal place
            place += size
            return Measured(tuple(recorded[place - size : place]), "s")

        first, second = (pooled(side) for side in interleaved([process, process], rounds))
        alarms += compared({"latency": first}, {"latency": second})[0].verdict != "within noise"
    assert alarms <= at_most(comparisons)
