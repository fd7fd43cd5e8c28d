"""Percentile intervals from resampling examples (Efron 1979; for corpus metrics Koehn 2004)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Weighted = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Scores ``[B]`` of weights ``[B, N]``: how often each of N examples counts."""

RESAMPLES = 1000
SEED = 20240417
_BLOCK = 2_000_000
"""Weights held at once: 16 MB."""


def percentile_interval(
    examples: int, score: Weighted, *, resamples: int = RESAMPLES, seed: int = SEED, level: float = 0.95
) -> tuple[float, float]:
    """Percentile interval of a corpus score over the choice of its `examples`.

    Resampling N examples with replacement is a multinomial draw of how often each is taken, so that one matrix product
    scores many resamples. Raises ValueError without examples.
    """
    if examples < 1:
        raise ValueError("an interval needs at least one example")
    generator = np.random.default_rng(seed)
    block = max(1, _BLOCK // examples)
    scores = []
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        taken = generator.multinomial(examples, np.full(examples, 1 / examples), size=size)  # [B, N]
        scores.append(score(taken.astype(np.float64)))  # [B]
    low, high = np.quantile(np.concatenate(scores), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
