"""Batches of images that are padded to one frame, as high as the highest and as wide as the widest."""

from __future__ import annotations

import numpy as np

from zoo.training.data.batching import Lengths, TokenBatches, length_buckets
from zoo.training.data.ragged import Indices


class FrameBatches(TokenBatches):
    """Batches such that the cells of the frame, as often as there are images, stay within a budget.

    An image of one row of 80 cells and one of one column of 80 are no larger than others, but their frame has 6,400.
    Images of like size share a batch, and of these such as are of like width.
    """

    def __init__(self, cells: Lengths, columns: Lengths, budget: int, seed: int) -> None:
        """`cells` are rows times columns of each image."""
        super().__init__((cells,), budget, seed)
        self._rows, self._columns = cells // columns, columns
        widths = length_buckets(columns)
        self._keys = self._keys.astype(np.int64) * (1 + int(widths.max(initial=0))) + widths

    def _edges(self, order: Indices) -> list[int]:
        edges: list[int] = []
        start, high, wide = 0, 0, 0
        sizes = zip(self._rows[order].tolist(), self._columns[order].tolist(), strict=True)
        for index, (rows, columns) in enumerate(sizes):
            high, wide = max(high, rows), max(wide, columns)
            if high * wide * (index - start + 1) > self._budget and index > start:
                edges.append(index)
                start, high, wide = index, rows, columns
        return edges

    def padding_share(self) -> float:
        places = real = 0
        for indices in self.epoch(0):
            places += len(indices) * int(self._rows[indices].max()) * int(self._columns[indices].max())
            real += int(np.sum(self.lengths[0][indices]))
        return 1 - real / places
