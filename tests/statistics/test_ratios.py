"""The interval of a ratio holds exactly the factors that a Mann-Whitney test does not reject."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from zoo.statistics import ratio_interval

times = st.lists(st.integers(1, 10**6), min_size=4, max_size=9, unique=True)


@given(times, times, st.floats(0.2, 5))
@settings(deadline=None, max_examples=200)
def test_a_factor_lies_outside_exactly_where_scipys_exact_test_rejects_it(first, second, factor):
    scaled = np.array(first) * factor
    if set(scaled) & set(second):  # scipy's exact method knows no ties
        return
    low, high = ratio_interval(first, second)
    rejected = stats.mannwhitneyu(scaled, second, method="exact").pvalue <= 0.05
    assert (factor < low or factor > high) == rejected


def test_the_published_interval_of_five_and_five():
    """Hollander and Wolfe, table A.6: of 25 differences of 5 and 5, the 3rd and the 23rd bound 96.8%."""
    first = [2.0**power for power in (0, 5, 10, 15, 20)]
    second = [2.0**power for power in (1, 7, 11, 18, 24)]
    ordered = sorted(b / a for a in first for b in second)
    assert ratio_interval(first, second) == (ordered[2], ordered[22])


def test_three_processes_a_side_tell_nothing():
    assert ratio_interval([1.0, 2.0, 3.0], [7.0, 8.0, 9.0]) is None
    assert ratio_interval([], [1.0]) is None


@given(times, times)
@settings(deadline=None)
def test_the_ratio_the_other_way_round_is_the_inverse(first, second):
    low, high = ratio_interval(first, second)
    assert ratio_interval(second, first) == pytest.approx((1 / high, 1 / low))


@given(times, times, st.floats(0.01, 100))
@settings(deadline=None)
def test_the_unit_does_not_matter(first, second, unit):
    assert ratio_interval([x * unit for x in first], [x * unit for x in second]) == pytest.approx(
        ratio_interval(first, second)
    )


def test_large_groups_agree_with_scipy():
    generator = np.random.default_rng(4)
    first, second = generator.lognormal(0, 0.1, 60), generator.lognormal(0.02, 0.1, 55)
    low, high = ratio_interval(first, second)
    for factor in (low, high):
        inside, outside = ((factor * (1 + step)) for step in ((1e-9, -1e-9) if factor == low else (-1e-9, 1e-9)))
        assert stats.mannwhitneyu(first * inside, second, method="asymptotic").pvalue > 0.05
        assert stats.mannwhitneyu(first * outside, second, method="asymptotic").pvalue == pytest.approx(0.05, abs=0.002)


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan"), float("inf")])
def test_what_is_no_duration_is_refused(wrong):
    with pytest.raises(ValueError, match="positive"):
        ratio_interval([1.0, wrong], [1.0, 2.0])
