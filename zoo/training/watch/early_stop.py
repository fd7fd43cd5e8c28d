"""When development losses say that training is done, and which step had the lowest.

Both are read off the curve alone, which checkpoints hold: a run that goes on stops where it would have stopped.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from zoo.spec.training_section import EarlyStopSection
from zoo.training.outcome import CurvePoint


@dataclass(frozen=True)
class Evaluated:
    """A development loss, in nats per target token, and the step that it was taken after."""

    step: int
    dev_loss: float


def best_of(curve: Sequence[CurvePoint]) -> Evaluated | None:
    """The lowest development loss, the first where several are equal; None where there is none."""
    return min(_evaluated(curve), key=lambda item: item.dev_loss, default=None)


def stopping_step(curve: Sequence[CurvePoint], options: EarlyStopSection) -> int | None:
    """The step of the evaluation that ends training.

    It is the last of `patience` evaluations in a row of which none was more than `min_delta` below the lowest before
    them. None where there is none yet.
    """
    lowest, waited = math.inf, 0
    for item in _evaluated(curve):
        if item.dev_loss < lowest - options.min_delta:
            lowest, waited = item.dev_loss, 0
        else:
            waited += 1
        if waited == options.patience:
            return item.step
    return None


def _evaluated(curve: Sequence[CurvePoint]) -> Iterator[Evaluated]:
    return (Evaluated(point.step, point.dev_loss) for point in curve if point.dev_loss is not None)
