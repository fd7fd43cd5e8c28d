"""Percentile intervals from resampling examples (Efron 1979; for corpus metrics Koehn 2004).

The interval of a paired difference is the same with a score that is a difference: both systems are then scored on the
same resampled examples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

Weighted = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Scores ``[B]`` of weights ``[B, N]``: how often each of N examples counts."""

Interval = tuple[float, float]
"""Lower and upper end."""
RESAMPLES = 1000
SEED = 20240417
BLOCK = 2_000_000
"""Weights held at once: 16 MB."""


def percentile_interval(
    examples: int, score: Weighted, *, resamples: int = RESAMPLES, seed: int = SEED, level: float = 0.95
) -> Interval:
    """Percentile interval of a corpus score over the choice of its `examples`.

    Raises ValueError without examples.
    """
    if examples < 1:
        raise ValueError("an interval needs at least one example")
    weights = resampled_weights(examples, resamples, np.random.default_rng(seed))
    scores = np.concatenate([score(block) for block in weights])  # [resamples]
    low, high = np.quantile(scores, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def resampled_weights(examples: int, resamples: int, generator: np.random.Generator) -> Iterator[NDArray[np.float64]]:
    """How often each example is taken: `resamples` rows in all, in blocks ``[B, N]`` of bounded memory.

    Resampling N examples with replacement is a multinomial draw of how often each is taken, so that one matrix product
    scores many resamples.
    """
    block = max(1, BLOCK // examples)
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        taken = generator.multinomial(examples, np.full(examples, 1 / examples), size=size)  # [B, N]
        yield taken.astype(np.float64)
