"""Exponential moving average."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from zoo.training.averaging import Averaging, widened
from zoo_averaging.options import EmaOptions


class Ema(Averaging):
    """``average <- d * average + (1 - d) * weights`` in float32, from the first weights on.

    Polyak & Juditsky (1992, doi:10.1137/0330046) average iterates; Morales-Brotons et al. (2024, arXiv:2411.18704)
    study this form. With ``warmup`` d is ``min(decay, (1 + t) / (10 + t))``, t being the sets of weights in the average
    (the rule of TensorFlow's ExponentialMovingAverage). One fused operation over all weights: a read of each weight and
    a read and a write of its average, 12 bytes a weight in float32.
    """

    options: EmaOptions

    def __init__(self, options: EmaOptions) -> None:
        super().__init__(options)
        self._count = 0
        self._average: list[Tensor] = []

    def decay(self) -> float:
        """d of the next `add`, which is at least the second."""
        decay = self.options.decay
        return min(decay, (1 + self._count) / (10 + self._count)) if self.options.warmup else decay

    def add(self, weights: Sequence[Tensor]) -> None:
        wide = widened(weights)
        if self._count == 0:
            self._average = [weight.clone() for weight in wide]
        else:
            torch._foreach_lerp_(self._average, wide, 1 - self.decay())
        self._count += 1

    def average(self) -> list[Tensor]:
        return self._average

    def state(self) -> dict[str, Any]:
        return {"count": self._count, "average": self._average}

    def load_state(self, state: dict[str, Any], weights: Sequence[Tensor]) -> None:
        self._count = state["count"]
        # Empty before the first `add`.
        self._average = [kept.to(weight.device) for kept, weight in zip(state["average"], weights, strict=False)]
