"""New tokens learned from words: pairs of neighbouring tokens, the most frequent first."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping

from zoo_vocabulary.segmentation import Segmenter, pairs_of


def learn_pairs(
    words: Mapping[str, int], segmenter: Segmenter, wanted: int, *, mergeable: Callable[[str], bool]
) -> list[str]:
    """Go on with byte-pair encoding (Sennrich et al. 2016) from the tokens that `segmenter` makes of `words`.

    `words` have counts. Each step joins the neighbours that are most often together, ties by their spelling, and tells
    `segmenter` so, until it has `wanted` new tokens or no pair stands anywhere twice. Tokens that are not `mergeable`
    (unknown, bytes, special) join nothing. Returns the new tokens in the order in which they were learned.
    """
    cut = [segmenter.segment(word) for word in words]
    counts = list(words.values())
    totals: Counter[tuple[str, str]] = Counter()
    places: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    for index, pieces in enumerate(cut):
        for pair in pairs_of(pieces):
            totals[pair] += counts[index]
            places[pair].add(index)
    heap = [(-count, pair) for pair, count in totals.items()]
    heapq.heapify(heap)
    learned: list[str] = []
    while heap and len(learned) < wanted:
        negative, pair = heapq.heappop(heap)
        if -negative != totals[pair] or totals[pair] < 2 or not all(map(mergeable, pair)):
            continue  # out of date: the right count is in the heap as well; or nothing to join
        learned += segmenter.add_pair(*pair)
        touched: set[tuple[str, str]] = set()
        whole = segmenter.joined(*pair)
        for index in places.pop(pair):
            before = cut[index]
            for old in pairs_of(before):
                totals[old] -= counts[index]
                touched.add(old)
            cut[index] = after = _joined(before, pair, whole)
            for new in pairs_of(after):
                totals[new] += counts[index]
                places[new].add(index)
                touched.add(new)
        totals[pair] = 0
        for changed in touched:
            if totals[changed] > 0:
                heapq.heappush(heap, (-totals[changed], changed))
    return learned


def _joined(pieces: list[str], pair: tuple[str, str], whole: str) -> list[str]:
    found: list[str] = []
    place = 0
    while place < len(pieces):
        if place + 1 < len(pieces) and (pieces[place], pieces[place + 1]) == pair:
            found.append(whole)
            place += 2
        else:
            found.append(pieces[place])
            place += 1
    return found
