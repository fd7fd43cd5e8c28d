"""Repeated samples of one quantity, and what may honestly be said of them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

P90_SAMPLES = 100
"""Fewer samples leave fewer than ten beyond the 90th percentile: too few to name it."""
P99_SAMPLES = 1000


def percentile(values: Sequence[float], q: float) -> float:
    """The q-th percentile (0 to 100), linear between the two nearest ranks (numpy's default rule).

    Raises ValueError for no values or a q outside the range.
    """
    if not values:
        raise ValueError("a percentile needs at least one value")
    if not 0.0 <= q <= 100.0:
        raise ValueError(f"percentile {q}: expected 0 to 100")
    ordered = sorted(values)
    rank = (len(ordered) - 1) * q / 100.0
    low = math.floor(rank)
    high = math.ceil(rank)
    return ordered[low] + (ordered[high] - ordered[low]) * (rank - low)


@dataclass(frozen=True)
class Measured:
    """Samples of one quantity in the order they were taken."""

    values: tuple[float, ...]
    unit: str

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("a measurement needs at least one sample")
        if not all(math.isfinite(value) for value in self.values):
            raise ValueError("a measurement holds finite samples only")

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def minimum(self) -> float:
        return min(self.values)

    @property
    def maximum(self) -> float:
        return max(self.values)

    @property
    def p90(self) -> float | None:
        """None below 100 samples."""
        return percentile(self.values, 90) if len(self.values) >= P90_SAMPLES else None

    @property
    def p99(self) -> float | None:
        """None below 1000 samples."""
        return percentile(self.values, 99) if len(self.values) >= P99_SAMPLES else None
