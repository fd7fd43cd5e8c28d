"""Losses that leap: steps whose loss stands far above those before it."""

from __future__ import annotations

import statistics
from collections import deque
from typing import Any

WINDOW, MINIMUM = 100, 20
"""Losses that a new one is held against, and how many there must be."""
DEVIATIONS = 6.0
SHARE = 0.1
MOST = 100
"""More spikes are counted, and not listed."""
_NORMAL = 1.4826
"""A normal distribution's standard deviation by its median absolute deviation."""


class Spikes:
    """Finds them by Hampel's rule: a loss more than 6 robust deviations above the median of the 100 losses before it.

    A deviation is 1.4826 times the median absolute deviation (Hampel 1974), which single spikes do not move. The loss
    must also be a tenth above the median, as losses that hardly vary at all would make a spike of any noise. A loss
    that stays high is the new level after some 50 steps.
    """

    def __init__(self) -> None:
        self._window: deque[float] = deque(maxlen=WINDOW)
        self._found: list[dict[str, Any]] = []
        self._count = 0

    def add(self, step: int, loss: float) -> bool:
        """Hear the (finite) loss of a step; whether it is a spike."""
        spike = False
        if len(self._window) >= MINIMUM:
            median = statistics.median(self._window)
            deviation = _NORMAL * statistics.median(abs(item - median) for item in self._window)
            spike = loss > median + max(DEVIATIONS * deviation, SHARE * abs(median))
            if spike:
                self._count += 1
                if len(self._found) < MOST:
                    self._found.append({"step": step, "loss": loss, "median": median})
        self._window.append(loss)
        return spike

    def facts(self) -> dict[str, Any]:
        """``{"loss_spikes": {"count": 2, "first": [{"step": ..., "loss": ..., "median": ...}, ...]}}``, if any."""
        return {"loss_spikes": {"count": self._count, "first": list(self._found)}} if self._count else {}

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"window": list(self._window), "found": list(self._found), "count": self._count}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        self._window = deque(state["window"], maxlen=WINDOW)
        self._found, self._count = list(state["found"]), state["count"]
