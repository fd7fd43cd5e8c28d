"""The micro-batches that a training process takes, in the order that the run's seed decides."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from zoo.errors import InputError
from zoo.training.data.batching import Batches, MicroBatch
from zoo.training.data.collate import Batch, Collating
from zoo.training.data.layouts import PAIRS, Layout
from zoo.training.data.packing import PackedBatches
from zoo.training.data.ragged import Encoded
from zoo.training.data.steps import Plan
from zoo.training.data.workers import collated
from zoo.training.processes.world import World


@dataclass(frozen=True)
class Share:
    """One process's micro-batch, and what it and those that the others take at the same time hold together."""

    batch: Batch
    target_tokens: int
    """Tokens to be predicted."""
    tokens: int
    """What is read, in tokens or patches, and what is to be predicted."""
    examples: MicroBatch | None = None
    """What `batch` was made of."""
    counts: bool = True
    """False where a step has no micro-batch left for this process: it repeats another's, with no weight, as all must
    take part when gradients are summed."""


@dataclass(frozen=True)
class Step:
    """One process's micro-batches of an optimizer step, in order."""

    shares: tuple[Share, ...]
    target_tokens: int
    """Tokens to be predicted, in all processes."""
    end: int
    """The number, in the run's stream, of the micro-batch that the next step begins with."""


def batches_for(
    examples: Encoded, budget: int, seed: int, *, packing: bool = False, layout: Layout[Any] = PAIRS
) -> Batches:
    """The batches of `examples`, one a row or several. Raises InputError where these examples cannot be packed."""
    lengths = layout.lengths(examples)
    if not packing:
        return layout.batches(examples, budget, seed)
    if examples.contexts is not None:
        raise InputError(
            "training.packing: rows of examples with a second input cannot be packed; "
            "set it to false, or give the context as a prefix of the source"
        )
    return PackedBatches(lengths, budget, seed, alone=layout.alone, apart=layout.apart(examples))


class Loader:
    """Every step of a run as one long epoch, so that accumulation never meets the end of the data.

    Where W processes train together, process r takes the micro-batches r, r + W, ... of each step that one process
    alone would take all of. With `workers`, as many processes make them, ahead of their use and in order.
    """

    def __init__(
        self,
        examples: Encoded,
        batches: Batches,
        collate: Collating,
        steps: int,
        world: World | None = None,
        *,
        plan: Plan | None = None,
        workers: int = 0,
    ) -> None:
        self.dataset = examples
        self._batches = batches
        self._collate = collate
        self._steps = steps
        self._world = world or World()
        self._plan = plan or Plan()
        self._workers = workers
        self._start = 0, 0

    def go_on(self, step: int, batch: int | None) -> None:
        """Begin with step number `step`, whose first micro-batch is number `batch` of the run's stream.

        None, of a checkpoint that does not say: where every step has as many.
        """
        self._start = step, step * self._plan.micro_batches if batch is None else batch

    def __len__(self) -> int:
        """Steps of the whole run."""
        return self._steps

    def __iter__(self) -> Iterator[Step]:
        # The groups are walked twice: by what makes the batches, which is ahead, and by what is said of them.
        mine, counted = itertools.tee(self._groups())
        rank = self._world.rank
        chosen = (group.of(rank) for group in mine)
        batches = collated(chosen, self._collate, self._workers) if self._workers else map(self._collate, chosen)
        shares: list[Share] = []
        for batch, group in zip(batches, counted, strict=True):
            predicted = sum(map(self._predicted, group.parts))
            tokens = sum(
                self.dataset.read(part.indices) + int(self.dataset.targets.lengths_of(part.indices).sum())
                for part in group.parts
            )
            shares.append(Share(batch, predicted, tokens, group.of(rank), counts=rank < len(group.parts)))
            if group.end is not None:
                yield Step(tuple(shares), sum(share.target_tokens for share in shares), group.end)
                shares = []

    def _groups(self) -> Iterator[_Group]:
        """The micro-batches that all processes take at the same time, group by group."""
        start, end = self._start
        steps = self._plan.cut(self._batches.stream(end), self._predicted)
        size = self._world.size
        for step in itertools.islice(steps, self._steps - start):
            end += len(step)
            for first in range(0, len(step), size):
                yield _Group(step[first : first + size], end if first + size >= len(step) else None)

    def _predicted(self, examples: MicroBatch) -> int:
        return self._collate.predicted(examples.indices)


@dataclass(frozen=True)
class _Group:
    """At most one micro-batch a process; `end`, of the last group of a step, is the next step's first micro-batch."""

    parts: list[MicroBatch]
    end: int | None

    def of(self, rank: int) -> MicroBatch:
        return self.parts[rank] if rank < len(self.parts) else self.parts[0]
