"""Which pairs of a split follow each other in one document."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from zoo.tasks import Pair

Places = NDArray[np.int64]


class DocumentOrder:
    """The pairs of a split, document after document (in the order in which these first appear), each in its order.

    A pair without a document is a document of its own. Only pairs whose orders count on by one are neighbours: where an
    order is missing, so is a sentence, and neither contexts nor chunks reach over the gap. Three integers a pair are in
    memory.
    """

    def __init__(self, pairs: Sequence[Pair]) -> None:
        names: dict[str, int] = {}
        groups, orders = np.empty(len(pairs), np.int64), np.empty(len(pairs), np.int64)
        for index, pair in enumerate(pairs):
            # Alone: a number that no other pair has, behind those of the documents seen so far.
            groups[index] = -index - 1 if pair.document is None else names.setdefault(pair.document, index)
            orders[index] = pair.order
        first = np.where(groups < 0, -groups - 1, groups)  # the place where the document first appears
        self.order: Places = np.lexsort((orders, first))
        """``[N]``: indices of pairs in document order."""
        self.documents: Places = first[self.order]
        """``[N]``: a number for the document of each, in document order."""
        following = np.diff(self.documents) == 0
        following &= np.diff(orders[self.order]) == 1
        starts = np.append(0, np.flatnonzero(~following) + 1)[: len(pairs)]
        lengths = np.diff(np.append(starts, len(pairs)))
        self.before: Places = np.arange(len(pairs)) - np.repeat(starts, lengths)
        """``[N]``: how many pairs of its document stand right before each, without a gap, in document order."""
        self.place: Places = np.empty(len(pairs), np.int64)
        """``[N]``: where each pair stands in document order."""
        self.place[self.order] = np.arange(len(pairs))

    def previous(self, index: int, count: int) -> list[int]:
        """Indices of the up to `count` pairs right before pair `index` in its document, in their order."""
        place = int(self.place[index])
        return [int(item) for item in self.order[place - min(count, int(self.before[place])) : place]]

    def chunks(self, size: int) -> list[list[int]]:
        """Every pair once, in runs of `size` neighbours; the last one before a gap or the end may be shorter."""
        starts = np.flatnonzero(self.before % size == 0)
        return [[int(item) for item in part] for part in np.split(self.order, starts[1:])] if len(self.order) else []
