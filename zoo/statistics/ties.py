"""Who is tied with whom: ranks from intervals, and letters that tied entries share (Piepho 2004)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from zoo.statistics.bootstrap import Interval


def ranks(intervals: Sequence[Interval], direction: str) -> list[int]:
    """1 + the number of intervals that lie wholly on the better side: overlapping leaders share a rank.

    `direction` is 'higher' or 'lower': which values are better.
    """

    def better(other: Interval, own: Interval) -> bool:
        return other[0] > own[1] if direction == "higher" else other[1] < own[0]

    return [1 + sum(better(other, own) for other in intervals) for own in intervals]


def tie_groups(different: NDArray[np.bool_]) -> list[tuple[int, ...]]:
    """The groups of a compact letter display: two of n entries share a group where they are not shown to differ.

    `different` is ``[n, n]``, symmetric, false on the diagonal: what pairwise tests decided. The entries' order is the
    order of the groups: by their first members, the first entry's group first. By the insert-and-absorb algorithm of
    Piepho (2004), "An algorithm for a letter-based representation of all-pairwise comparisons", whose groups are the
    maximal sets without a difference: each entry is in one at least, and in several where it ties with entries that
    differ. Raises ValueError where the matrix is not one of decisions on pairs.
    """
    decided = np.asarray(different, dtype=bool)
    if decided.ndim != 2 or decided.shape[0] != decided.shape[1]:
        raise ValueError(f"expected a square matrix of decisions, found shape {decided.shape}")
    if (decided != decided.T).any() or decided.diagonal().any():
        raise ValueError("decisions on pairs must be symmetric, and no entry differs from itself")
    count = len(decided)
    groups = [frozenset(range(count))] if count else []
    for first, second in np.argwhere(np.triu(decided)).tolist():
        parted = [group for group in groups if first in group and second in group]
        whole = [group for group in groups if not (first in group and second in group)]
        pieces = {group - {member} for group in parted for member in (first, second)}
        # Only the pieces can be superfluous: what stood before was maximal, and stays so.
        groups = whole + [
            piece
            for piece in pieces
            if not any(piece <= group for group in whole) and not any(piece < other for other in pieces)
        ]
    return sorted(tuple(sorted(group)) for group in groups)


def interval_tie_groups(intervals: Sequence[Interval]) -> list[tuple[int, ...]]:
    """As `tie_groups`, where two entries differ if their intervals do not touch, in O(n^2) for n entries.

    Intervals that have no pair apart have a point in common (Helly), so each maximal group is found at the largest
    lower end of its members. Of 95% intervals, those that do not touch differ at less than .05 (Schenker and Gentleman
    2001): a stricter rule than a test of the difference.
    """
    points = sorted({low for low, _ in intervals})
    found = {frozenset(i for i, (low, high) in enumerate(intervals) if low <= point <= high) for point in points}
    return sorted(tuple(sorted(group)) for group in found if not any(group < other for other in found))


def letters(groups: Sequence[Sequence[int]]) -> dict[int, str]:
    """Entry -> the letters of its groups: 'a' for the first group, 'ab' for a member of two; after 'z' come 'aa', 'ab'.

    Where there are more than 26 groups, an entry's letters are parted by commas.
    """
    names = [_letter(number) for number in range(len(groups))]
    joint = "" if len(groups) <= 26 else ","
    entries = sorted({entry for group in groups for entry in group})
    return {
        entry: joint.join(name for name, group in zip(names, groups, strict=True) if entry in group)
        for entry in entries
    }


def _letter(number: int) -> str:
    """0 -> a, 25 -> z, 26 -> aa, as the columns of a spreadsheet."""
    text = ""
    number += 1
    while number:
        number, digit = divmod(number - 1, 26)
        text = chr(ord("a") + digit) + text
    return text
