"""Batches with a token budget, in an order that (seed, epoch) decides."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.training.data.ragged import Indices

Lengths = npt.NDArray[Any]
_BUCKET_GROWTH = 1.1
"""Lengths within about 10% share a bucket: little padding, and still much to shuffle inside a bucket."""


@dataclass(frozen=True, eq=False)
class MicroBatch:
    """The examples of one micro-batch, in order.

    Each stands in a row of its own, or, packed, those of row r are ``indices[rows[r]:rows[r + 1]]``.
    """

    indices: Indices
    rows: Indices | None = None

    def widths(self, lengths: Lengths) -> int:
        """Tokens of the longest row, where the examples of the batch have `lengths`."""
        if self.rows is None:
            return int(lengths.max())
        return int(np.add.reduceat(lengths, self.rows[:-1]).max())

    def __len__(self) -> int:
        """Rows."""
        return len(self.indices) if self.rows is None else len(self.rows) - 1


class Batches(ABC):
    """Micro-batches of examples with given lengths: every example once an epoch, padded tokens within a budget."""

    def __init__(self, lengths: Sequence[Lengths], seed: int, *, alone: Collection[int] = ()) -> None:
        """`lengths`: of the sources (in tokens or patches), the targets and, where there is one, the second input.
        `alone` are the numbers of those that stand in rows of their own even where the others are packed."""
        if len({len(side) for side in lengths}) != 1:
            raise ValueError("as many lengths of each side are needed")
        self.lengths = tuple(side.astype(np.int32, copy=False) for side in lengths)
        self._alone = frozenset(alone)
        self._seed = seed

    def __len__(self) -> int:
        """Examples."""
        return len(self.lengths[0])

    def generator(self, epoch: int) -> np.random.Generator:
        """What decides all that is random in an epoch."""
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence((self._seed, epoch))))

    @abstractmethod
    def micro_batches(self, epoch: int) -> Sequence[MicroBatch]:
        """The micro-batches of one epoch, in order."""

    def stream(self, start: int = 0) -> Iterator[MicroBatch]:
        """Micro-batches without end, epoch after epoch, from number `start`."""
        epoch = 0
        while True:
            batches = self.micro_batches(epoch)
            for index in range(start, len(batches)):
                yield batches[index]
            start = max(0, start - len(batches))
            epoch += 1

    def padding_share(self) -> float:
        """The share of places of the first epoch's rows that hold no token."""
        places = real = 0
        for batch in self.micro_batches(0):
            for number, side in enumerate(self.lengths):
                chosen = side[batch.indices]
                rows = MicroBatch(batch.indices) if number in self._alone else batch
                places += len(rows) * rows.widths(chosen)
                real += int(chosen.sum())
        return 1 - real / places


def length_buckets(lengths: Lengths) -> Indices:
    """The bucket of each length: widths grow with the length, so that padding stays a bounded share."""
    # Of each possible length once: there are few, and many examples.
    table = np.arange(int(lengths.max(initial=1)) + 1)
    buckets: Indices = np.floor(np.log(np.maximum(table, 1)) / np.log(_BUCKET_GROWTH)).astype(np.int64)
    return buckets[lengths]


class TokenBatches(Batches):
    """Batches of example indices such that padded tokens stay within a budget.

    The size of a batch is (examples) x (longest sequence of any side among them), padding included, as it is the
    longest side that decides memory. An example longer than the budget gets a batch of its own. Each epoch holds every
    example exactly once, with examples of like length together and the batches in random order.
    """

    def __init__(self, lengths: Sequence[Lengths], budget: int, seed: int) -> None:
        super().__init__(lengths, seed)
        self._longest: Lengths = reduce(np.maximum, self.lengths)
        self._budget = budget
        self._keys = _like_lengths(self.lengths)

    def epoch(self, epoch: int) -> list[Indices]:
        """The batches of one epoch, in order."""
        generator = self.generator(epoch)
        # Examples in random order, then stably by key: examples of one key stay in random order.
        order = np.argsort(generator.permutation(len(self)))
        order = order[np.argsort(self._keys[order], kind="stable")]
        batches = np.split(order, self._edges(order))
        return [batches[index] for index in generator.permutation(len(batches))]

    def micro_batches(self, epoch: int) -> Sequence[MicroBatch]:
        return [MicroBatch(indices) for indices in self.epoch(epoch)]

    def _edges(self, order: Indices) -> list[int]:
        """Where a new batch starts, given examples in order. (A loop: 0.7 s for ten million examples.)"""
        edges: list[int] = []
        start, longest = 0, 0
        for index, length in enumerate(self._longest[order].tolist()):
            if length > longest:
                longest = length
            if longest * (index - start + 1) > self._budget and index > start:
                edges.append(index)
                start, longest = index, length
        return edges


def _like_lengths(lengths: Sequence[Lengths]) -> npt.NDArray[Any]:
    """A number for each example by which those of like lengths stand together.

    By the bucket of the longest side, which the budget counts, then of the others, to save padding there too, then by
    which side is the longest.
    """
    sides = [length_buckets(side) for side in lengths]
    width = 1 + max(int(side.max(initial=0)) for side in sides)
    longest = len(sides) - 1 - np.argmax(sides, axis=0)
    ordered = np.sort(np.stack(sides), axis=0)[::-1]  # [sides, N], longest first
    keys: Indices = np.zeros(len(sides[0]), np.int64)
    for side in ordered:
        keys = keys * width + side
    keys = keys * len(sides) + longest
    # numpy sorts numbers of 16 bits in linear time.
    return keys.astype(np.uint16 if width ** len(sides) * len(sides) <= 2**16 else np.int64)
