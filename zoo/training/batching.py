"""Batches with a token budget, in an order that (seed, epoch) decides."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]
_BUCKET_GROWTH = 1.1
"""Lengths within about 10% share a bucket: little padding, and still much to shuffle inside a bucket."""


def length_buckets(lengths: Indices) -> Indices:
    """The bucket of each length: widths grow with the length, so that padding stays a bounded share."""
    buckets: Indices = np.floor(np.log(np.maximum(lengths, 1)) / np.log(_BUCKET_GROWTH)).astype(np.int64)
    return buckets


class TokenBatches:
    """Batches of example indices such that padded tokens stay within a budget.

    The size of a batch is (examples) x (longest source or target among them), padding included, as it is the longer
    side that decides memory. An example longer than the budget gets a batch of its own. Each epoch holds every example
    exactly once, with examples of like length together and the batches in random order.
    """

    def __init__(self, source_lengths: Indices, target_lengths: Indices, budget: int, seed: int) -> None:
        if len(source_lengths) != len(target_lengths):
            raise ValueError("as many source as target lengths are needed")
        self._longer = np.maximum(source_lengths, target_lengths)
        self._source_buckets = length_buckets(source_lengths)
        self._target_buckets = length_buckets(target_lengths)
        self._budget = budget
        self._seed = seed

    def epoch(self, epoch: int) -> list[Indices]:
        """The batches of one epoch, in order."""
        generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence((self._seed, epoch))))
        ties = generator.permutation(len(self._longer))
        # By the bucket of the longer side, which the budget counts, then of the shorter, to save padding there too.
        longer = np.maximum(self._source_buckets, self._target_buckets)
        shorter = np.minimum(self._source_buckets, self._target_buckets)
        source_first = self._source_buckets >= self._target_buckets
        order = np.lexsort((ties, source_first, shorter, longer))
        edges = self._edges(self._longer[order])
        batches = np.split(order, edges)
        return [batches[index] for index in generator.permutation(len(batches))]

    def _edges(self, lengths: Indices) -> list[int]:
        """Where a new batch starts, given lengths in order."""
        edges: list[int] = []
        start, longest = 0, 0
        for index, length in enumerate(lengths.tolist()):
            longest = max(longest, length)
            if index > start and longest * (index - start + 1) > self._budget:
                edges.append(index)
                start, longest = index, length
        return edges

    def stream(self, start: int = 0) -> Iterator[Indices]:
        """Batches without end, epoch after epoch, from batch number `start`."""
        epoch = 0
        while True:
            batches = self.epoch(epoch)
            yield from batches[start:]
            start = max(0, start - len(batches))
            epoch += 1
