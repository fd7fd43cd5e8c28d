"""Intervals of a share: so many of so many trials."""

from __future__ import annotations

import math


def wilson_interval(hits: float, trials: float) -> tuple[float, float]:
    """95% score interval of a share (Wilson 1927): honest at 0 and 1, where a bootstrap has no width."""
    z = 1.959963984540054
    share, extra = hits / trials, z**2 / trials
    middle = (share + extra / 2) / (1 + extra)
    half = z / (1 + extra) * math.sqrt(share * (1 - share) / trials + extra / (4 * trials))
    # At 0 and 1 the ends are these exactly, which the sums miss by a rounding.
    return (middle - half if hits > 0 else 0.0), (middle + half if hits < trials else 1.0)
