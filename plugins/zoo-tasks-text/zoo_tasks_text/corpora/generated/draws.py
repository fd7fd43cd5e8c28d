"""Draws that come out the same on every platform and in every version of Python."""

from __future__ import annotations

import random
from bisect import bisect_right
from decimal import Context, Decimal
from itertools import accumulate

_UNIT = 2**36
"""Weight of rank 1: the weights of 5,000 ranks still add up to less than 2**53, so that a draw is exact."""


class Draws:
    """Whole-number draws. Python promises the sequence of `random()` across versions, but not that of `choice`."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._next = self._random.random

    def restart(self, seed: int) -> None:
        """As if made with `seed`."""
        self._random.seed(seed)

    def below(self, bound: int) -> int:
        return int(self._next() * bound)

    def between(self, low: int, high: int) -> int:
        return low + int(self._next() * (high - low + 1))

    def chance(self, share: float) -> bool:
        """True in `share` of the draws."""
        return self._next() < share


class Ranks:
    """Ranks 0 .. size - 1, drawn with weights of 1 / (rank + 1)**exponent (Zipf 1949), in whole numbers."""

    def __init__(self, size: int, exponent: float) -> None:
        self.size = size
        self._ends = list(accumulate(weights(size, exponent))) if exponent else []

    def draw(self, draws: Draws) -> int:
        if not self._ends:
            return draws.below(self.size)
        return bisect_right(self._ends, draws.below(self._ends[-1]))


def weights(size: int, exponent: float) -> list[int]:
    """Whole weights, 1 at least, of `size` ranks.

    In decimals: their ln and exp are rounded correctly, where the powers of floats differ between C libraries.
    """
    context = Context(prec=28)
    power = Decimal(exponent)
    return [
        max(1, int(context.exp(context.multiply(-power, context.ln(Decimal(rank)))) * _UNIT))
        for rank in range(1, size + 1)
    ]
