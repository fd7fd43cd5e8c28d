"""Tests by exchange: against full enumeration, scipy, and what must not change them."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from zoo.statistics import paired_randomization, sign_flip_test

whole = st.integers(-20, 20).map(float)


def mean_of(first: np.ndarray, second: np.ndarray):
    """Mean score of weights over both systems' examples."""
    both = np.concatenate([first, second])
    return lambda weights: weights @ both / weights.sum(axis=1)


def test_the_share_of_extreme_swaps_is_that_of_all_swaps():
    first = np.array([3.0, 5.0, 1.0, 4.0, 2.0, 6.0, 3.5, 2.5])
    second = first + np.array([1.0, -0.5, 2.0, 0.5, 1.5, -0.25, 0.75, 1.25])
    signs = np.array(list(product([-1, 1], repeat=8)))
    exact = (np.abs(signs @ (second - first)) >= abs((second - first).sum()) - 1e-12).mean()
    found = paired_randomization(8, mean_of(first, second), trials=100_000)
    # Five standard errors of a share of 100 000.
    assert found.p_value == pytest.approx(exact, abs=5 * np.sqrt(exact * (1 - exact) / 100_000))
    assert found.difference == pytest.approx((second - first).mean())


def test_p_values_agree_with_scipys_permutation_test_on_a_ratio_of_sums():
    generator = np.random.default_rng(3)
    hits, totals = generator.integers(0, 9, (2, 40)), generator.integers(9, 30, (2, 40))

    def score(weights: np.ndarray) -> np.ndarray:
        return (weights @ hits.ravel()) / (weights @ totals.ravel())

    def statistic(one: np.ndarray, other: np.ndarray) -> float:
        def ratio(index: np.ndarray) -> float:
            return hits.ravel()[index].sum() / totals.ravel()[index].sum()

        return ratio(other.astype(int)) - ratio(one.astype(int))

    indices = np.arange(80).reshape(2, 40)
    oracle = stats.permutation_test(
        tuple(indices), statistic, permutation_type="samples", n_resamples=4000, random_state=np.random.default_rng(1)
    )
    ours = paired_randomization(40, score, trials=20_000)
    assert ours.difference == pytest.approx(oracle.statistic)
    assert ours.p_value == pytest.approx(oracle.pvalue, abs=0.04)


def test_equal_systems_have_p_1_and_no_trial_makes_p_0():
    same = np.arange(5.0)
    assert paired_randomization(5, mean_of(same, same), trials=99).p_value == 1
    assert paired_randomization(50, mean_of(np.zeros(50), np.ones(50)), trials=99).p_value == 1 / 100


@given(st.lists(st.tuples(st.integers(-20, 20), st.integers(-20, 20)), min_size=3, max_size=8))
@settings(deadline=None, max_examples=200)
def test_sums_that_differ_in_their_last_bits_count_as_equal(pairs):
    """Tenths are not exact in binary and whole numbers are; the same swaps must be found extreme."""
    first, second = np.array(pairs, dtype=float).T
    exact = paired_randomization(len(pairs), lambda weights: weights @ np.concatenate([first, second]), trials=100)
    tenths = np.concatenate([first, second]) / 10
    assert paired_randomization(len(pairs), lambda weights: weights @ tenths, trials=100).p_value == exact.p_value


@given(st.lists(st.tuples(whole, whole), min_size=1, max_size=12))
@settings(deadline=None, max_examples=50)
def test_swapping_the_systems_turns_the_difference_and_keeps_p(pairs):
    first, second = np.array(pairs).T
    one = paired_randomization(len(pairs), mean_of(first, second), trials=200)
    other = paired_randomization(len(pairs), mean_of(second, first), trials=200)
    assert one.difference == pytest.approx(-other.difference)
    assert one.p_value == other.p_value
    assert 1 / 201 <= one.p_value <= 1


def test_swaps_without_a_score_speak_for_no_difference():
    def score(weights: np.ndarray) -> np.ndarray:
        values = mean_of(np.zeros(6), np.ones(6))(weights)
        return np.where((values > 0) & (values < 1), np.nan, values)

    assert paired_randomization(6, score, trials=99).p_value == 1


def test_memory_is_bounded_however_many_trials_are_asked_for():
    widest = 0

    def score(weights: np.ndarray) -> np.ndarray:
        nonlocal widest
        widest = max(widest, weights.nbytes)
        return weights[:, 0]

    paired_randomization(50_000, score, trials=100)
    assert widest <= 16_000_000


@pytest.mark.parametrize(("examples", "trials"), [(0, 10), (10, 0)])
def test_nothing_to_exchange_is_refused(examples, trials):
    with pytest.raises(ValueError, match="examples and trials"):
        paired_randomization(examples, lambda weights: weights.sum(axis=1), trials=trials)


def test_sign_flips_of_darwins_plants():
    """Fisher 1935, section 21: of the 32768 assignments for Darwin's 15 pairs, 1726 are as far from 0 as the data."""
    darwin = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]
    assert sign_flip_test(darwin).p_value == 1726 / 32768


@given(st.lists(whole, min_size=2, max_size=8))
@settings(deadline=None)
def test_sign_flips_agree_with_scipys_exact_permutation_test(differences):
    values = np.array(differences)
    oracle = stats.permutation_test(
        (values, np.zeros_like(values)), lambda x, y: (x - y).sum(), permutation_type="samples", n_resamples=np.inf
    )
    assert sign_flip_test(differences).p_value == pytest.approx(oracle.pvalue)


def test_five_pairs_cannot_reach_05_and_six_can():
    assert sign_flip_test([1.0] * 5).p_value == sign_flip_test([1.0] * 5).smallest == 1 / 16
    assert sign_flip_test([1.0, 2.0, 1.5, 1.0, 3.0, 0.5]).p_value == 1 / 32 < 0.05


def test_many_pairs_are_sampled_and_agree_with_the_t_test():
    values = np.random.default_rng(0).normal(0.3, 1, 60)
    assert sign_flip_test(list(values)).p_value == pytest.approx(stats.ttest_1samp(values, 0).pvalue, abs=0.01)


@pytest.mark.parametrize("wrong", [[], [1.0, float("nan")]])
def test_differences_that_are_no_numbers_are_refused(wrong):
    with pytest.raises(ValueError, match="finite differences"):
        sign_flip_test(wrong)
