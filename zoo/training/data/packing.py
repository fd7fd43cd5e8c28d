"""Several examples in one row, so that rows are full."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import reduce

import numpy as np

from zoo.training.data.batching import Batches, Lengths, MicroBatch
from zoo.training.data.ragged import Indices, offsets_of

ROW_TOKENS = 256
"""Rows are about as long, or as the longest sequence: the longer, the fuller, but attention's time grows with them."""
_WINDOW = 256
"""Examples that are sorted by length before they are laid into rows."""
_OPEN = 16
"""Rows that stay open from one window to the next."""


class PackedBatches(Batches):
    """Batches of rows that hold several examples each; every example stands in one row an epoch.

    A batch has `rows` rows of at most `row_length` tokens on each side, and rows x row_length is within the budget,
    unless one example alone exceeds it. Rows are filled by first-fit-decreasing (Johnson 1973), over windows of the
    examples in random order: so lengths are mixed in every row, and 1.5 s are enough for a million examples.
    """

    def __init__(self, lengths: Sequence[Lengths], budget: int, seed: int, *, alone: Collection[int] = ()) -> None:
        super().__init__(lengths, seed, alone=alone)
        self._longest: Lengths = reduce(np.maximum, self.lengths)
        longest = int(self._longest.max())
        self.rows = max(1, budget // max(longest, min(ROW_TOKENS, budget)))
        self.row_length = max(longest, budget // self.rows)

    def micro_batches(self, epoch: int) -> Sequence[MicroBatch]:
        generator = self.generator(epoch)
        rows = list(self._filled(generator.permutation(len(self))))
        indices, offsets = np.concatenate(rows), offsets_of(np.fromiter(map(len, rows), np.int64, len(rows)))
        # One side of a row is about full: rows whose other side is alike share a batch.
        fill = np.add.reduceat(reduce(np.add, self.lengths)[indices], offsets[:-1])
        shuffled = generator.permutation(len(rows))
        order = shuffled[np.argsort(fill[shuffled], kind="stable")]
        return _Rows(indices, offsets, order, self.rows, generator.permutation(-(-len(rows) // self.rows)))

    def _filled(self, order: Indices) -> Iterator[list[int]]:
        """Rows of example numbers, as they are closed."""
        sources, targets = self.lengths[0], self.lengths[-1]  # the same where both stand in one row
        room: list[tuple[int, int]] = []  # of each open row, on either side
        rows: list[list[int]] = []
        for start in range(0, len(order), _WINDOW):
            window = order[start : start + _WINDOW]
            window = window[np.argsort(-self._longest[window], kind="stable")]
            for index, source, target in zip(
                window.tolist(), sources[window].tolist(), targets[window].tolist(), strict=True
            ):
                for place, (left, right) in enumerate(room):
                    if source <= left and target <= right:
                        room[place] = (left - source, right - target)
                        rows[place].append(index)
                        break
                else:
                    room.append((self.row_length - source, self.row_length - target))
                    rows.append([index])
            emptiest = sorted(range(len(rows)), key=lambda place: -min(room[place]))
            yield from (rows[place] for place in emptiest[_OPEN:])
            room, rows = [room[place] for place in emptiest[:_OPEN]], [rows[place] for place in emptiest[:_OPEN]]
        yield from rows


class _Rows(Sequence[MicroBatch]):
    """Micro-batches of `size` rows each, cut from rows in `order`; the n-th is cut number `cuts[n]`."""

    def __init__(self, indices: Indices, offsets: Indices, order: Indices, size: int, cuts: Indices) -> None:
        self._indices = indices
        self._offsets = offsets
        self._order = order
        self._size = size
        self._cuts = cuts

    def __len__(self) -> int:
        return len(self._cuts)

    def __getitem__(self, number: int) -> MicroBatch:  # type: ignore[override]
        begin = int(self._cuts[number]) * self._size
        rows = self._order[begin : begin + self._size]
        parts = [self._indices[self._offsets[row] : self._offsets[row + 1]] for row in rows]
        return MicroBatch(np.concatenate(parts), offsets_of(self._offsets[rows + 1] - self._offsets[rows]))
