"""Bootstrap intervals over segments for corpus metrics (Koehn 2004), from sufficient statistics."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Statistics = NDArray[np.float64]
_BLOCK = 2_000_000
"""Multinomial counts held at once: 16 MB."""


def percentile_interval(
    statistics: Statistics,
    score: Callable[[Statistics], Statistics],
    *,
    resamples: int,
    seed: int,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile interval of a score that is a function of summed statistics.

    `statistics` is ``[N, K]``, one row a segment; `score` maps sums ``[B, K]`` to scores ``[B]``. Resampling N
    segments with replacement is a multinomial draw of how often each is taken, so that one matrix product scores
    many resamples.
    """
    segments = len(statistics)
    generator = np.random.default_rng(seed)
    block = max(1, _BLOCK // segments)
    scores = []
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        taken = generator.multinomial(segments, np.full(segments, 1 / segments), size=size)  # [B, N]
        scores.append(score(taken.astype(np.float64) @ statistics))  # [B]
    low, high = np.quantile(np.concatenate(scores), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
