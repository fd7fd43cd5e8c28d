"""The micro-batches that a training process takes, in the order that the run's seed decides."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from zoo.errors import InputError
from zoo.training.batching import Batches, MicroBatch, TokenBatches
from zoo.training.collate import Batch, Collating
from zoo.training.layouts import PAIRS, Layout
from zoo.training.packing import PackedBatches
from zoo.training.ragged import EncodedPairs
from zoo.training.workers import collated
from zoo.training.world import World


@dataclass(frozen=True)
class Share:
    """One process's micro-batch, and what it and those that the others take at the same time hold together."""

    batch: Batch
    target_tokens: int
    """Tokens to be predicted."""
    tokens: int
    """Source and target."""


def batches_for(
    pairs: EncodedPairs, budget: int, seed: int, *, packing: bool = False, layout: Layout = PAIRS
) -> Batches:
    """The batches of `pairs`, one example a row or several. Raises InputError where these pairs cannot be packed."""
    lengths = layout.lengths(pairs)
    if not packing:
        return TokenBatches(lengths, budget, seed)
    if pairs.contexts is not None:
        raise InputError(
            "training.packing: rows of examples with a second input cannot be packed; "
            "set it to false, or give the context as a prefix of the source"
        )
    return PackedBatches(lengths, budget, seed)


class Loader:
    """Every micro-batch of a run as one long epoch, so that accumulation never meets the end of the data.

    Where W processes train together, process r takes the micro-batches r, r + W, ... of the very stream that one
    process alone would take all of. With `workers`, as many processes make them, ahead of their use and in order.
    """

    def __init__(
        self,
        pairs: EncodedPairs,
        batches: Batches,
        collate: Collating,
        count: int,
        world: World | None = None,
        *,
        workers: int = 0,
    ) -> None:
        self.dataset = pairs
        self.start = 0
        """The micro-batch to begin with, all processes counted: where a resumed run goes on."""
        self._batches = batches
        self._collate = collate
        self._count = count
        self._world = world or World()
        self._workers = workers

    def __len__(self) -> int:
        return self._count // self._world.size

    def __iter__(self) -> Iterator[Share]:
        # The plan is walked twice: by what makes the batches, which is ahead, and by what is said of them.
        mine, counted = itertools.tee(self._plan())
        chosen = (group[self._world.rank] for group in mine)
        batches = collated(chosen, self._collate, self._workers) if self._workers else map(self._collate, chosen)
        for batch, group in zip(batches, counted, strict=True):
            predicted = sum(self._collate.predicted(part.indices) for part in group)
            sides = (self.dataset.sources, self.dataset.targets)
            tokens = sum(int(side.lengths_of(part.indices).sum()) for part in group for side in sides)
            yield Share(batch, predicted, tokens)

    def _plan(self) -> Iterator[list[MicroBatch]]:
        """The micro-batches that all processes take at the same time, group by group."""
        stream = self._batches.stream(self.start)
        size = self._world.size
        for _ in range((self._count - self.start) // size):
            yield list(itertools.islice(stream, size))
