"""Samples that were measured elsewhere, handed to pytest-benchmark as they are.

pytest-benchmark computes statistics over what it times itself. Its public `timer` setting lets it read another
clock: this one stands at zero when a round starts and at the recorded sample when it ends, so that the data of its
report are our samples to the last bit, and its `timer` option says where they are from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any


class Replay:
    """A clock that shows recorded samples, one a round."""

    __name__ = "zoo-record"

    def __init__(self) -> None:
        self._now = 0.0
        self._samples: Iterator[float] = iter(())

    def __call__(self) -> float:
        return self._now

    def feed(self, benchmark: Any, samples: Sequence[float]) -> None:
        """Give the fixture `benchmark` one round per sample, in seconds and in order."""
        self._samples = iter(samples)
        benchmark.pedantic(self._finish_round, setup=self._start_round, rounds=len(samples))

    def _start_round(self) -> None:
        self._now = 0.0

    def _finish_round(self) -> None:
        # A profiler calls once more than there are samples.
        self._now = next(self._samples, self._now)
