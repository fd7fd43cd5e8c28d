"""Tests that exchange what the null hypothesis says is exchangeable: no distribution is assumed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zoo.statistics.bootstrap import BLOCK, SEED, Weighted

TRIALS = 10_000
_EXACT = 20
"""Pairs up to which every assignment of signs is looked at: a million of them."""


@dataclass(frozen=True)
class Randomization:
    """Two systems on the same examples."""

    first: float
    second: float
    p_value: float
    trials: int

    @property
    def difference(self) -> float:
        """Second minus first."""
        return self.second - self.first


def paired_randomization(examples: int, score: Weighted, *, trials: int = TRIALS, seed: int = SEED) -> Randomization:
    """Two-sided paired approximate randomization of a corpus score (Noreen 1989; Riezler and Maxwell 2005, section 4).

    `score` takes weights ``[B, 2N]`` over the first system's N examples followed by the second's and gives ``[B]``. If
    the systems do not differ, each example's two outputs could as well have come from the other: every trial swaps each
    pair with probability 1/2 and asks whether the scores then differ at least as much as they did. The p-value
    (1 + such trials) / (1 + trials) is valid for any number of trials, and no larger number makes it smaller than the
    data do. Raises ValueError without examples or trials.
    """
    if examples < 1 or trials < 1:
        raise ValueError(f"expected examples and trials, found {examples} and {trials}")
    none = np.zeros((1, examples))
    first, second = (float(scores[0]) for scores in _both(none, score))
    # Equal sums added in another order differ in their last bits, and must still count as equal.
    observed = abs(second - first) - 1e-9 * max(abs(first), abs(second))
    generator = np.random.default_rng(seed)
    block = max(1, BLOCK // (2 * examples))
    extreme = 0
    for start in range(0, trials, block):
        size = min(block, trials - start)
        swapped = generator.integers(0, 2, size=(size, examples), dtype=np.int8).astype(np.float64)  # [B, N]
        ours, theirs = _both(swapped, score)
        # Where a metric has no score for a swap (NaN), the swap speaks for no difference.
        extreme += int((~(np.abs(theirs - ours) < observed)).sum())
    return Randomization(first, second, (1 + extreme) / (1 + trials), trials)


def _both(swapped: NDArray[np.float64], score: Weighted) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scores ``[B]`` of the first and of the second system where `swapped` ``[B, N]`` is 1 for exchanged examples."""
    kept = 1 - swapped
    return score(np.hstack([kept, swapped])), score(np.hstack([swapped, kept]))


@dataclass(frozen=True)
class SignFlips:
    """The verdict of a sign-flip test."""

    p_value: float
    smallest: float
    """The smallest p-value that so few pairs can give: above .05 with fewer than six."""


def sign_flip_test(differences: Sequence[float], *, trials: int = 100_000, seed: int = SEED) -> SignFlips:
    """Two-sided test that paired differences are symmetric about 0 (Fisher 1935, section 21): exact to 20 pairs.

    Such as the differences of two architectures trained with the same seeds. Under the null hypothesis every assignment
    of signs is equally likely; p is the share of those whose sum is at least as far from 0. Beyond 20 pairs `trials`
    random assignments stand for all. n pairs cannot give less than 2 / 2^n, so that six are needed to reach .05; as p
    takes few values, the test rejects at most as often as its level says, and with few pairs less often.
    Raises ValueError without differences or where one is not finite.
    """
    values = np.asarray(differences, dtype=np.float64)
    if not values.size or not np.isfinite(values).all():
        raise ValueError("expected finite differences, one at least")
    smallest = 2.0 ** (1 - values.size)
    observed = abs(values.sum()) - 1e-9 * np.abs(values).sum()
    if values.size <= _EXACT:
        # The opposite of an assignment is as far from 0: the first sign may stay.
        sums = values[:1]
        for value in values[1:]:
            sums = np.concatenate([sums + value, sums - value])
        return SignFlips(float((np.abs(sums) >= observed).mean()), smallest)
    signs = np.random.default_rng(seed).integers(0, 2, size=(trials, values.size), dtype=np.int8) * 2.0 - 1
    extreme = int((np.abs(signs @ values) >= observed).sum())
    return SignFlips((1 + extreme) / (1 + trials), smallest)
