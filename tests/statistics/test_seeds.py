"""Differences of means over seeds: against scipy and against what is known of the variance."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from zoo.statistics import seeds_by_items, welch_test

scores = st.lists(st.integers(0, 100).map(float), min_size=2, max_size=8)


def means(table: np.ndarray):
    """One score function for each seed of ``[S, N]``: the weighted mean."""
    return [lambda weights, row=row: weights @ row / weights.sum(axis=1) for row in table]


@given(scores, scores)
@settings(deadline=None)
def test_welch_agrees_with_scipy(first, second):
    assume(len(set(first)) > 1 and len(set(second)) > 1)
    ours = welch_test(first, second)
    oracle = stats.ttest_ind(second, first, equal_var=False)
    low, high = oracle.confidence_interval(0.95)
    assert ours.p_value == pytest.approx(oracle.pvalue, rel=1e-9, abs=1e-12)
    assert ours.degrees == pytest.approx(oracle.df)
    assert ours.interval == pytest.approx((low, high), rel=1e-9, abs=1e-9)


def test_groups_without_spread_differ_or_do_not():
    assert welch_test([1.0, 1.0], [1.0, 1.0]).p_value == 1
    apart = welch_test([1.0, 1.0], [2.0, 2.0])
    assert (apart.p_value, apart.interval) == (0, (1, 1))


def test_one_seed_says_nothing_of_other_seeds():
    with pytest.raises(ValueError, match="two seeds a side at least, found 1 and 2"):
        welch_test([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="two seeds a side at least, found 2 and 1"):
        seeds_by_items(means(np.ones((2, 3))), means(np.ones((1, 3))), 3)


def test_examples_alone_give_the_standard_error_of_a_paired_difference():
    """Two seeds that agree on every example: what is left is the paired standard error of a mean."""
    generator = np.random.default_rng(2)
    first = generator.gamma(2, 3, 400)
    second = first + generator.normal(0.4, 1.5, 400)
    found = seeds_by_items(means(np.stack([first] * 2)), means(np.stack([second] * 2)), 400, resamples=4000)
    paired = (second - first).std() / math.sqrt(400)
    assert found.error == pytest.approx(paired, rel=0.05)
    assert found.p_value == pytest.approx(stats.ttest_rel(second, first).pvalue, abs=0.01)


def test_seeds_alone_give_welchs_test():
    """Seeds that differ by the same amount on every example: resampling the examples changes nothing."""
    example = np.random.default_rng(0).normal(30, 5, 50)
    levels = np.array([[0.0, 0.7, -0.4], [1.0, 2.1, 1.5]])
    tables = levels[..., None] + example  # [2, S, N]
    found = seeds_by_items(means(tables[0]), means(tables[1]), 50)
    welch = welch_test(list(levels[0]), list(levels[1]))
    assert found.difference == pytest.approx(welch.difference)
    assert found.p_value == pytest.approx(welch.p_value)
    assert found.interval == pytest.approx(welch.interval)


def test_how_seeds_fare_on_examples_is_counted_once():
    """Independent noise on every seed and example, variance 1: the difference's is 2 / (S N), not twice that."""
    generator = np.random.default_rng(7)
    variances = []
    for _ in range(60):
        tables = generator.normal(0, 1, (2, 4, 80))
        variances.append(seeds_by_items(means(tables[0]), means(tables[1]), 80, resamples=200).error ** 2)
    assert np.mean(variances) == pytest.approx(2 / (4 * 80), rel=0.15)


def test_systems_and_seeds_in_another_order_give_the_same_verdict():
    tables = np.random.default_rng(1).normal([[[0.0]], [[0.3]]], 1, (2, 3, 60))
    found = seeds_by_items(means(tables[0]), means(tables[1]), 60)
    swapped = seeds_by_items(means(tables[1][::-1]), means(tables[0][::-1]), 60)
    assert swapped.difference == pytest.approx(-found.difference)
    assert swapped.p_value == pytest.approx(found.p_value)
    assert swapped.interval == pytest.approx((-found.interval[1], -found.interval[0]))


def test_an_interval_needs_examples():
    with pytest.raises(ValueError, match="one example"):
        seeds_by_items(means(np.ones((2, 0))), means(np.ones((2, 0))), 0)
