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
    """Samples of one quantity in the order they were taken, by one process or by several."""

    values: tuple[float, ...]
    unit: str
    processes: tuple[float, ...] = ()
    """The median of each fresh process, where several took the samples (`pooled`)."""
    warmup: tuple[int, ...] = ()
    """Calls before the first sample, in each process."""

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("a measurement needs at least one sample")
        if not all(math.isfinite(value) for value in self.values):
            raise ValueError("a measurement holds finite samples only")

    @property
    def median(self) -> float:
        """Of the processes' medians where there are several processes, else of the samples."""
        return statistics.median(self.processes or self.values)

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


def pooled(parts: Sequence[Measured]) -> Measured:
    """One quantity as several fresh processes measured it, in the order they ran.

    What differs between processes (layout of memory, clocks, neighbours) does not average out inside one: the median
    is taken over the processes' medians, percentiles over all samples. Raises ValueError for parts of several units.
    """
    units = {part.unit for part in parts}
    if len(units) != 1:
        raise ValueError(f"a quantity has one unit, not {sorted(units)}")
    return Measured(
        tuple(value for part in parts for value in part.values),
        units.pop(),
        processes=tuple(part.median for part in parts),
        warmup=tuple(calls for part in parts for calls in part.warmup),
    )
