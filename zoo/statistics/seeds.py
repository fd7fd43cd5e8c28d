"""Comparing architectures: several training seeds of each, scored on the same examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from zoo.statistics.bootstrap import RESAMPLES, SEED, Interval, Weighted, resampled_weights


@dataclass(frozen=True)
class MeanDifference:
    """Mean of the second group minus mean of the first, by Student's t with estimated degrees of freedom."""

    difference: float
    interval: Interval
    p_value: float
    degrees: float
    error: float
    """Standard error of the difference."""


def welch_test(first: Sequence[float], second: Sequence[float], *, level: float = 0.95) -> MeanDifference:
    """Welch's (1947) t test of two groups of scores, one a seed: two-sided, variances may differ.

    It says whether training again would find the same difference on these very examples; other examples are not its
    subject. With two seeds a side it rejects less often than its level says. Groups without any spread give p = 0 or,
    where they are equal, 1. Raises ValueError with fewer than two seeds a side.
    """
    groups = _groups(first, second)
    parts = [(group.var(ddof=1) / group.size, group.size - 1) for group in groups]
    return _by_t(groups[1].mean() - groups[0].mean(), parts, 0.0, level)


def seeds_by_items(
    first: Sequence[Weighted],
    second: Sequence[Weighted],
    examples: int,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
    level: float = 0.95,
) -> MeanDifference:
    """Difference of mean scores over seeds, uncertain by both the choice of seeds and the choice of `examples`.

    `first` and `second` hold one score function for each seed, over weights ``[B, N]`` of the same N examples. Examples
    are resampled for all seeds of both systems at once, so that the comparison is paired; what resampling seeds adds is
    known in closed form. Its variance is that of the two-way bootstrap (Owen 2007, "The pigeonhole bootstrap") with
    two corrections, without which it is far from its level at the few seeds that people train (of three seeds a side it
    would call between 1% and 14% of equal architectures different at .05, by where their variance comes from):

    - The seeds' own scores already vary with how each seed fares on each example, and so does resampling the examples:
      that part is counted once, not twice.
    - Seeds' variances are estimated with n - 1 and the interval is Student's with Satterthwaite's (1946) degrees of
      freedom: percentiles of three resampled seeds are far too narrow (Hesterberg 2015, section 4).

    Raises ValueError with fewer than two seeds a side or without examples.
    """
    if examples < 1:
        raise ValueError("an interval needs at least one example")
    groups = _groups(*[[float(score(np.ones((1, examples)))[0]) for score in scores] for scores in (first, second)])
    parts = [(group.var(ddof=1) / group.size, group.size - 1) for group in groups]
    drawn: list[list[NDArray[np.float64]]] = []
    for weights in resampled_weights(examples, resamples, np.random.default_rng(seed)):
        drawn.append([np.stack([score(weights) for score in scores], axis=1) for scores in (first, second)])  # [B, S]
    ours, theirs = (np.concatenate(blocks) for blocks in zip(*drawn, strict=True))
    among_items = float((theirs.mean(axis=1) - ours.mean(axis=1)).var(ddof=1))
    twice = sum(_interaction(scores) for scores in (ours, theirs))
    return _by_t(groups[1].mean() - groups[0].mean(), parts, max(0.0, among_items - twice), level)


def _interaction(scores: NDArray[np.float64]) -> float:
    """Variance of a mean over S seeds that comes from how each seed fares on each example: of resamples ``[B, S]``."""
    deviations = scores - scores.mean(axis=1, keepdims=True)
    seeds = scores.shape[1]
    return float(deviations.var(axis=0, ddof=1).sum() / (seeds - 1) / seeds)


def _groups(first: Sequence[float], second: Sequence[float]) -> list[NDArray[np.float64]]:
    groups = [np.asarray(group, dtype=np.float64) for group in (first, second)]
    if min(group.size for group in groups) < 2:
        raise ValueError(f"expected two seeds a side at least, found {groups[0].size} and {groups[1].size}")
    return groups


def _by_t(difference: float, parts: Sequence[tuple[float, int]], known: float, level: float) -> MeanDifference:
    """Of variances with their degrees of freedom, and one that is `known` as well as if it had no end of them."""
    estimated = sum(variance for variance, _ in parts)
    variance = float(estimated + known)
    difference = float(difference)
    if variance <= 0:
        return MeanDifference(difference, (difference, difference), float(difference == 0), float("inf"), 0.0)
    uncertainty = sum(part**2 / degrees for part, degrees in parts)
    degrees = float(variance**2 / uncertainty) if uncertainty else float("inf")
    error = variance**0.5
    # Beyond that Student's distribution is the normal one, and stdtr takes no infinity.
    usable = min(degrees, 1e9)
    half = float(special.stdtrit(usable, (1 + level) / 2)) * error
    p_value = float(2 * special.stdtr(usable, -abs(difference) / error))
    return MeanDifference(difference, (difference - half, difference + half), p_value, degrees, error)
