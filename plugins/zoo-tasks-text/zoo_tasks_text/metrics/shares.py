"""How sure the share of right words is, where those of one example go right and wrong together."""

from __future__ import annotations

import numpy as np

from zoo.statistics import wilson_interval
from zoo_tasks_text.metrics.corpus import Statistics


def share_of(sums: Statistics) -> Statistics:
    """Share of right ones ``[B]`` of sums ``[B, 2]``: right ones, and all. Where there is none, nothing is right: 0."""
    right, trials = sums[:, 0], sums[:, 1]
    return np.where(trials > 0, right / np.where(trials > 0, trials, 1.0), 0.0)


def share_of_each(found: Statistics) -> Statistics:
    """`share_of` every example ``[N]`` of ``[N, 2]``; NaN for one that has none: it has no score by itself."""
    return np.where(found[:, 1] > 0, share_of(found), np.nan)


def clustered_interval(found: Statistics) -> tuple[float, float]:
    """Wilson's 95% interval of the effective number of trials, of ``[N, 2]``: right ones and all of each example.

    Effective is the number of independent trials that would vary as much as these do, clustered by example, after
    Korn and Graubard (1998); at most all of them, and at 0 and 1, where nothing varies, the examples that have any.
    """
    found = found[found[:, 1] > 0]
    if not len(found):
        return 0.0, 1.0
    right, all_trials = found.sum(axis=0)
    share = right / all_trials
    trials = float(len(found))
    if len(found) > 1 and 0 < share < 1:
        residuals = found[:, 0] - share * found[:, 1]
        variance = len(found) / (len(found) - 1) * float(residuals @ residuals) / all_trials**2
        trials = all_trials if variance == 0 else min(all_trials, share * (1 - share) / variance)
    return wilson_interval(share * trials, trials)
