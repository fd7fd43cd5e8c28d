"""Aligning the blocks of a page with those of its translation."""

from __future__ import annotations

import math
import re
import unicodedata
from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence

from zoo_tasks_text.corpora.blocks import Block
from zoo_tasks_text.corpora.cleaning import clean, weight

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.+/:@-]*[A-Za-z0-9]|\d+")
_PECULIAR = re.compile(r"[\d_./:@+]|[a-z][A-Z]")
_GAP = -0.3
"""Score of a block that is left alone: twice that is what a match must beat."""
_LEAST_IN_PLACE = -1.0
"""Score below which not even its place in an equal skeleton makes a block a translation."""
_MARGIN = 0.25
"""By how much a match must beat the blocks left alone beside it: else it is unclear which of them is meant."""
_LARGEST_GAP = 1_000_000
"""Cells of the largest table: blocks between two anchors, of one side times the other."""


def names(text: str) -> set[str]:
    """The Latin words and numbers of a text: in a translation out of English they are names, commands and terms."""
    return {name.casefold() for name in _NAME.findall(unicodedata.normalize("NFKC", text))}


class _Side:
    """What is compared of a block."""

    def __init__(self, block: Block, language: str) -> None:
        text = clean(block.text)
        self.kind = block.kind
        self.marks = block.marks
        self.length = weight(text, language)
        self.names = names(text)
        self.peculiar = {name.casefold() for name in _NAME.findall(text) if _PECULIAR.search(name)}
        self.keys: list[Hashable] = [("id", name) for name in block.ids]
        if block.marks:
            self.keys.append(("marks", tuple(sorted(block.marks))))
        if len(text) > 20:
            self.keys.append(("text", text))


def aligned(english: Sequence[Block], other: Sequence[Block], language: str) -> list[tuple[int, int]]:
    """Indices of the blocks that translate each other, rising on both sides; blocks without a counterpart are absent.

    Blocks that share an identifier, a listing, links or untranslated text that nothing else on either page has are
    anchors. Between two of them, equal skeletons are aligned one to one, unless names and lengths speak against it;
    else blocks of the same kind are aligned by names, links and lengths (Needleman and Wunsch's best path), and kept
    where no neighbour that is left alone would fit about as well.
    """
    left, right = [_Side(block, "en") for block in english], [_Side(block, language) for block in other]
    found: list[tuple[int, int]] = []
    start = (0, 0)
    for anchor in [*_anchors(left, right), (len(left), len(right))]:
        for i, j in _between(left[start[0] : anchor[0]], right[start[1] : anchor[1]]):
            found.append((start[0] + i, start[1] + j))
        if anchor[0] < len(left):
            found.append(anchor)
        start = (anchor[0] + 1, anchor[1] + 1)
    return found


def _anchors(left: Sequence[_Side], right: Sequence[_Side]) -> list[tuple[int, int]]:
    """The longest chain, rising on both sides, of blocks that share what is unique on both."""
    places = [_unique(left), _unique(right)]
    pairs = {(i, places[1][key]) for key, i in places[0].items() if key in places[1] and i < len(left)}
    ordered = sorted((pair for pair in pairs if left[pair[0]].kind == right[pair[1]].kind), key=lambda p: (p[0], -p[1]))
    # Patience: the last link of the best chain of each length, and each link's predecessor.
    ends: list[int] = []
    links: list[int] = []
    previous: list[int] = []
    for number, (_, j) in enumerate(ordered):
        place = bisect_left(ends, j)
        previous.append(links[place - 1] if place else -1)
        ends[place : place + 1] = [j]
        links[place : place + 1] = [number]
    chain: list[tuple[int, int]] = []
    number = links[-1] if links else -1
    while number >= 0:
        chain.append(ordered[number])
        number = previous[number]
    return chain[::-1]


def _unique(sides: Sequence[_Side]) -> dict[Hashable, int]:
    counts = Counter(key for side in sides for key in side.keys)
    return {key: place for place, side in enumerate(sides) for key in side.keys if counts[key] == 1}


def _between(left: Sequence[_Side], right: Sequence[_Side]) -> Iterator[tuple[int, int]]:
    if not left or not right:
        return
    if [side.kind for side in left] == [side.kind for side in right]:
        scores = [score(first, second) for first, second in zip(left, right, strict=True)]
        if sum(scores) > 0:
            yield from ((place, place) for place, value in enumerate(scores) if value > _LEAST_IN_PLACE)
            return
    if len(left) * len(right) <= _LARGEST_GAP:
        yield from _clear(_best(left, right), left, right)


def score(first: _Side, second: _Side) -> float:
    """How much speaks for `second` being the translation of `first`; below 0, more speaks against it."""
    hits = len(first.names & second.names) + 2 * len(first.marks & second.marks)
    misses = len(second.names - first.names) + len(first.peculiar - second.names) + len(first.marks ^ second.marks)
    evidence = (hits - misses) / (hits + misses + 1)
    return 0.5 + 1.5 * evidence - abs(math.log((first.length + 20) / (second.length + 20)))


def _clear(
    matches: Sequence[tuple[int, int]], left: Sequence[_Side], right: Sequence[_Side]
) -> Iterator[tuple[int, int]]:
    """The matches that are better by `_MARGIN` than what a block left alone beside them would give.

    The larger the share of blocks left alone, the more a match must score: one side may be of another age.
    """
    alone = 1 - len(matches) / max(len(left), len(right))
    taken = [{i for i, _ in matches}, {j for _, j in matches}]
    for i, j in matches:
        rivals = [(k, j) for k in (i - 1, i + 1) if 0 <= k < len(left) and k not in taken[0]]
        rivals += [(i, k) for k in (j - 1, j + 1) if 0 <= k < len(right) and k not in taken[1]]
        value = score(left[i], right[j])
        least = value - _MARGIN
        if value > alone and all(left[k].kind != right[m].kind or score(left[k], right[m]) < least for k, m in rivals):
            yield i, j


def _best(left: Sequence[_Side], right: Sequence[_Side]) -> list[tuple[int, int]]:
    """The alignment of the highest total score (blocks left alone cost `_GAP` each); of it, the matches above 0."""
    width = len(right) + 1
    above = [_GAP * j for j in range(width)]
    steps: list[bytearray] = [bytearray([2] * width)]
    matches: dict[tuple[int, int], float] = {}
    for i, first in enumerate(left):
        row = [above[0] + _GAP]
        step = bytearray([1])
        for j, second in enumerate(right):
            best, how = above[j + 1] + _GAP, 1
            if row[j] + _GAP > best:
                best, how = row[j] + _GAP, 2
            if first.kind == second.kind:
                gain = score(first, second)
                if above[j] + gain > best:
                    best, how = above[j] + gain, 0
                    matches[i, j] = gain
            row.append(best)
            step.append(how)
        steps.append(step)
        above = row
    i, j = len(left), len(right)
    found: list[tuple[int, int]] = []
    while i and j:
        how = steps[i][j]
        if how == 0 and matches[i - 1, j - 1] > 0:
            found.append((i - 1, j - 1))
        i, j = i - (how != 2), j - (how != 1)
    return found[::-1]
