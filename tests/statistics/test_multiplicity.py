"""Adjusted p-values against worked examples, scipy, and their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from zoo.statistics import benjamini_hochberg, holm

probabilities = st.lists(st.floats(0, 1), min_size=1, max_size=20)


def test_holm_of_a_worked_example():
    """Four tests at .01, .04, .03, .005: 4 x .005, 3 x .01, 2 x .03, then no less than the one before."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_benjamini_and_hochbergs_own_example():
    """Benjamini and Hochberg 1995, section 4.1: of fifteen endpoints, four are found at .05; Bonferroni finds three."""
    p = [
        0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344,
        0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000,
    ]  # fmt: skip
    assert sum(value <= 0.05 for value in benjamini_hochberg(p)) == 4
    assert sum(value <= 0.05 for value in holm(p)) == 3


@given(probabilities)
@settings(deadline=None)
def test_benjamini_hochberg_agrees_with_scipy(p):
    assert benjamini_hochberg(p) == pytest.approx(list(stats.false_discovery_control(p)))


@given(probabilities, st.floats(0.001, 0.5))
@settings(deadline=None)
def test_holm_rejects_what_its_procedure_rejects(p, level):
    """Holm 1979: from the smallest on, reject while p(i) <= level / (m - i + 1), and stop for good at the first other.

    Written as p times the number left, as its adjustment is: a quotient may round to the other side.
    """
    rejected = set()
    for left, index in zip(range(len(p), 0, -1), np.argsort(p, kind="stable"), strict=True):
        if left * p[index] > level:
            break
        rejected.add(int(index))
    assert {index for index, value in enumerate(holm(p)) if value <= level} == rejected


@given(probabilities)
@settings(deadline=None)
def test_adjusting_never_helps_and_holm_is_the_stricter(p):
    for raw, lenient, strict in zip(p, benjamini_hochberg(p), holm(p), strict=True):
        assert raw - 1e-15 <= lenient <= strict + 1e-12
        assert strict <= 1


@given(probabilities, st.randoms())
@settings(deadline=None)
def test_the_order_of_the_tests_does_not_matter(p, random):
    order = list(range(len(p)))
    random.shuffle(order)
    for adjust in (holm, benjamini_hochberg):
        assert adjust([p[index] for index in order]) == [adjust(p)[index] for index in order]


@pytest.mark.parametrize("wrong", [[1.5], [-0.1], [float("nan")]])
@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
def test_what_is_no_probability_is_refused(adjust, wrong):
    with pytest.raises(ValueError, match="probabilities"):
        adjust(wrong)


def test_no_test_is_no_adjustment():
    assert holm([]) == benjamini_hochberg([]) == []
