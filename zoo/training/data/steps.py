"""Which micro-batches make one optimizer step."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from zoo.spec.training_section import TrainingSection
from zoo.training.data.batching import MicroBatch

Predicted = Callable[[MicroBatch], int]


@dataclass(frozen=True)
class Plan:
    """Cuts a run's stream of micro-batches into steps: by their number, or by the tokens that they hold.

    With `tokens`, a step takes micro-batches, in their order, until they hold at least so many tokens to be predicted.
    Where a step ends so depends on where it began and on the stream alone: a run that goes on from the micro-batch
    where a step began, whatever the number of processes, has the steps of one that was never interrupted.
    """

    micro_batches: int = 1
    tokens: int | None = None

    @classmethod
    def of(cls, section: TrainingSection) -> Plan:
        """What a spec asks for."""
        return cls(section.gradient_accumulation, section.step_tokens)

    def cut(self, stream: Iterator[MicroBatch], predicted: Predicted) -> Iterator[list[MicroBatch]]:
        """The steps of an endless stream; `predicted` counts a micro-batch's tokens to be predicted."""
        while True:
            if self.tokens is None:
                yield list(itertools.islice(stream, self.micro_batches))
                continue
            step, held = [], 0
            while held < self.tokens:
                step.append(next(stream))
                held += predicted(step[-1])
            yield step
