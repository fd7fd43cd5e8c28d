"""Maps of values to pixels and the ticks of axes, linear and logarithmic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from zoo.site import figures


@dataclass(frozen=True)
class Tick:
    at: str
    label: str


@dataclass(frozen=True)
class Scale:
    """A linear map of [low, high] to the pixels [start, end]; `end` may lie before `start`."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def pixel(self, value: float) -> str:
        return f"{self.at(value):.1f}"

    def ticks(self, values: Sequence[float]) -> tuple[Tick, ...]:
        step = values[1] - values[0] if len(values) > 1 else 1.0
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        return tuple(Tick(self.pixel(value), figures.fixed(value, decimals)) for value in values)


@dataclass(frozen=True)
class LogScale:
    """A logarithmic map of [low, high], both above zero, to the pixels [start, end]."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        share = (math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        return self.start + share * (self.end - self.start)

    def pixel(self, value: float) -> str:
        return f"{self.at(value):.1f}"

    def ticks(self, values: Sequence[float]) -> tuple[Tick, ...]:
        return tuple(Tick(self.pixel(value), _plain(value)) for value in values)


def nice_ticks(low: float, high: float, wanted: int = 6) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten that cover [low, high]: at least two, about `wanted`."""
    if high - low < 1e-9 * max(1.0, abs(low), abs(high)):
        pad = max(abs(low) * 0.1, 0.1)
        low, high = low - pad, high + pad
    rough = (high - low) / max(1, wanted - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten (powers alone over many decades) that cover [low, high], both above zero."""
    factors = (1,) if math.log10(high / low) > 4 else (1, 2, 5)
    powers = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 2)
    steps = sorted(factor * 10.0**power for power in powers for factor in factors)
    first = max(index for index, step in enumerate(steps) if step <= low * (1 + 1e-9))
    last = min(index for index, step in enumerate(steps) if step >= high * (1 - 1e-9))
    return steps[first : max(last, first + 1) + 1]


def _plain(value: float) -> str:
    return figures.fixed(value, max(0, -math.floor(math.log10(value) + 1e-9)))
