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

    `apart` is the length of what each example has a row of its own for however rows are packed, such as the target of
    an image: the examples of a batch times the longest of these are within the budget too.
    """

    def __init__(
        self,
        lengths: Sequence[Lengths],
        budget: int,
        seed: int,
        *,
        alone: Collection[int] = (),
        apart: Lengths | None = None,
    ) -> None:
        super().__init__(lengths, seed, alone=alone)
        self._budget = budget
        self._apart = apart
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
        edges = self._edges(indices, offsets, order)
        return _Rows(indices, offsets, order, edges, generator.permutation(len(edges) - 1))

    def _edges(self, indices: Indices, offsets: Indices, order: Indices) -> Indices:
        """Where, among the rows in `order`, each batch begins, and the end of the last."""
        if self._apart is None:
            return np.append(np.arange(0, len(order), self.rows), len(order))
        counts = np.diff(offsets)[order].tolist()
        longest = np.maximum.reduceat(self._apart[indices], offsets[:-1])[order].tolist()
        edges, examples, most = [0], 0, 0
        for place, (count, length) in enumerate(zip(counts, longest, strict=True)):
            examples, most = examples + count, max(most, length)
            full = place - edges[-1] == self.rows or examples * most > self._budget
            if full and place > edges[-1]:
                edges.append(place)
                examples, most = count, length
        return np.array([*edges, len(order)], np.int64)

    def _filled(self, order: Indices) -> Iterator[list[int]]:
        """Rows of example numbers, as they are closed."""
        sources, targets = self.lengths[0], self.lengths[-1]  # the same where both stand in one row
        apart = np.zeros(len(self), np.int32) if self._apart is None else self._apart
        room: list[tuple[int, int]] = []  # of each open row, on either side
        most: list[int] = []  # of each open row, the longest of what stands apart
        rows: list[list[int]] = []
        for start in range(0, len(order), _WINDOW):
            window = order[start : start + _WINDOW]
            window = window[np.argsort(-self._longest[window], kind="stable")]
            for index, source, target, own in zip(
                window.tolist(),
                sources[window].tolist(),
                targets[window].tolist(),
                apart[window].tolist(),
                strict=True,
            ):
                for place, (left, right) in enumerate(room):
                    if source <= left and target <= right:
                        longest = max(most[place], own)
                        if longest * (len(rows[place]) + 1) > self._budget:
                            continue
                        room[place], most[place] = (left - source, right - target), longest
                        rows[place].append(index)
                        break
                else:
                    room.append((self.row_length - source, self.row_length - target))
                    most.append(own)
                    rows.append([index])
            emptiest = sorted(range(len(rows)), key=lambda place: -min(room[place]))
            yield from (rows[place] for place in emptiest[_OPEN:])
            kept = emptiest[:_OPEN]
            room, most = [room[place] for place in kept], [most[place] for place in kept]
            rows = [rows[place] for place in kept]
        yield from rows


class _Rows(Sequence[MicroBatch]):
    """Micro-batches of rows in `order`, each from one of `edges` to the next; the n-th is that of edge ``cuts[n]``."""

    def __init__(self, indices: Indices, offsets: Indices, order: Indices, edges: Indices, cuts: Indices) -> None:
        self._indices = indices
        self._offsets = offsets
        self._order = order
        self._edges = edges
        self._cuts = cuts

    def __len__(self) -> int:
        return len(self._cuts)

    def __getitem__(self, number: int) -> MicroBatch:  # type: ignore[override]
        edge = int(self._cuts[number])
        rows = self._order[self._edges[edge] : self._edges[edge + 1]]
        parts = [self._indices[self._offsets[row] : self._offsets[row + 1]] for row in rows]
        return MicroBatch(np.concatenate(parts), offsets_of(self._offsets[rows + 1] - self._offsets[rows]))
