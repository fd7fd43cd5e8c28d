"""Several models measured in turn, and what may be said of their difference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from zoo.measure.distribution import Measured
from zoo.statistics import Interval, ratio_interval

T = TypeVar("T")

LEVEL = 0.95
Verdict = Literal["slower", "faster", "within noise", "cannot tell"]
"""Of the second model against the first. cannot tell: too few processes for any verdict at this level."""


def interleaved(probes: Sequence[Callable[[], T]], rounds: int) -> list[list[T]]:
    """What each probe gave in each round: A B, B A, A B, ... so that a drift of the machine falls on all alike.

    Raises ValueError without a round.
    """
    if rounds < 1:
        raise ValueError(f"rounds {rounds}: expected 1 or more")
    found: list[list[T]] = [[] for _ in probes]
    for round_ in range(rounds):
        order = range(len(probes)) if round_ % 2 == 0 else reversed(range(len(probes)))
        for index in order:
            found[index].append(probes[index]())
    return found


@dataclass(frozen=True)
class Comparison:
    """One quantity of a second model against a first's."""

    quantity: str
    first: float
    second: float
    """Medians of the processes' medians."""
    interval: Interval | None
    """Of second / first; None where the processes are too few."""

    @property
    def ratio(self) -> float:
        """second / first."""
        return self.second / self.first

    @property
    def verdict(self) -> Verdict:
        """A difference only where the interval leaves no room for none."""
        if self.interval is None:
            return "cannot tell"
        low, high = self.interval
        return "slower" if low > 1 else "faster" if high < 1 else "within noise"


def compared(first: dict[str, Measured], second: dict[str, Measured], *, level: float = LEVEL) -> list[Comparison]:
    """Every quantity that both have, by the medians of the processes of both.

    Two equal models give a verdict of a difference in any of the quantities with probability 1 - `level` at most: the
    interval of each is exact for processes that are alike (`zoo.statistics.ratio_interval`), and its level is raised to
    1 - (1 - level) / quantities.
    """
    quantities = [quantity for quantity in first if quantity in second]
    each = 1 - (1 - level) / max(1, len(quantities))
    return [
        Comparison(
            quantity,
            first[quantity].median,
            second[quantity].median,
            ratio_interval(first[quantity].processes, second[quantity].processes, level=each),
        )
        for quantity in quantities
    ]
