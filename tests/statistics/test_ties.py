"""Ranks from intervals, and the groups and letters of entries that are not shown to differ."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.statistics import interval_tie_groups, letters, ranks, tie_groups


def test_overlapping_intervals_share_a_rank_and_separate_ones_do_not():
    # The second overlaps both neighbours; the third lies wholly below the first.
    assert ranks([(25, 27), (22, 26), (20, 24.5)], "higher") == [1, 1, 2]
    assert ranks([(20, 24.5), (22, 26), (25, 27)], "lower") == [1, 1, 2]
    assert ranks([(1, 2), (3, 4), (5, 6)], "higher") == [3, 2, 1]


intervals = st.lists(
    st.tuples(st.integers(-50, 50), st.integers(-50, 50)).map(lambda pair: (min(pair), max(pair))), min_size=1
)


@given(intervals)
@settings(deadline=None)
def test_ranks_agree_with_their_definition(found):
    for own, rank in zip(found, ranks(found, "higher"), strict=True):
        assert rank == 1 + len([other for other in found if other[0] > own[1]])


@given(intervals)
@settings(deadline=None)
def test_somebody_is_first_and_turning_the_scale_over_changes_nothing(found):
    higher = ranks(found, "higher")
    assert min(higher) == 1
    assert ranks([(-high, -low) for low, high in found], "lower") == higher


def matrix(count: int, pairs: set[tuple[int, int]]) -> np.ndarray:
    different = np.zeros((count, count), dtype=bool)
    for first, second in pairs:
        different[first, second] = different[second, first] = True
    return different


def test_the_letters_of_piephos_example():
    """The example of Piepho (2004): eight treatments, of which 1-7, 1-8, 2-4, 2-5 and 3-5 differ (counted from 1)."""
    different = matrix(8, {(0, 6), (0, 7), (1, 3), (1, 4), (2, 4)})
    groups = tie_groups(different)
    shown = letters(groups)
    for first, second in combinations(range(8), 2):
        assert bool(set(shown[first]) & set(shown[second])) != different[first, second]
    # Every maximal set without a difference, found by trying all of them.
    free = [
        frozenset(chosen)
        for size in range(1, 9)
        for chosen in combinations(range(8), size)
        if not different[np.ix_(chosen, chosen)].any()
    ]
    assert {frozenset(group) for group in groups} == {one for one in free if not any(one < other for other in free)}


def test_no_difference_is_one_group_and_all_differences_are_one_each():
    assert tie_groups(matrix(3, set())) == [(0, 1, 2)]
    assert tie_groups(matrix(3, {(0, 1), (0, 2), (1, 2)})) == [(0,), (1,), (2,)]
    assert tie_groups(matrix(0, set())) == []


def test_the_middle_one_of_three_shares_a_letter_with_each_neighbour():
    groups = tie_groups(matrix(3, {(0, 2)}))
    assert groups == [(0, 1), (1, 2)]
    assert letters(groups) == {0: "a", 1: "ab", 2: "b"}


@st.composite
def decisions(draw: st.DrawFn) -> np.ndarray:
    count = draw(st.integers(1, 9))
    pairs = list(combinations(range(count), 2))
    return matrix(count, {pair for pair in pairs if draw(st.booleans())})


@given(decisions())
@settings(deadline=None)
def test_two_entries_share_a_group_exactly_where_no_difference_was_shown(different):
    groups = tie_groups(different)
    together = {pair for group in groups for pair in combinations(group, 2)}
    for pair in combinations(range(len(different)), 2):
        assert (pair in together) != bool(different[pair])
    assert {entry for group in groups for entry in group} == set(range(len(different)))


@given(decisions())
@settings(deadline=None)
def test_no_group_lies_within_another(different):
    groups = [set(group) for group in tie_groups(different)]
    assert not any(one <= other for one in groups for other in groups if one is not other)


@given(intervals)
@settings(deadline=None)
def test_groups_of_intervals_are_those_of_their_pairwise_decisions(found):
    found = found[:9]
    apart = np.array([[a[1] < b[0] or b[1] < a[0] for b in found] for a in found])
    assert interval_tie_groups(found) == tie_groups(apart)


@pytest.mark.parametrize(
    "wrong", [np.zeros((2, 3), dtype=bool), np.eye(2, dtype=bool), np.array([[False, True], [False, False]])]
)
def test_what_is_no_matrix_of_decisions_is_refused(wrong):
    with pytest.raises(ValueError, match="decisions"):
        tie_groups(wrong)


def test_letters_go_on_after_z():
    many = letters([(number,) for number in range(28)])
    assert [many[25], many[26], many[27]] == ["z", "aa", "ab"]
