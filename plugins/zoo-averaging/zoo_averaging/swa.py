"""Stochastic weight averaging."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from zoo.training.averaging import Averaging, widened
from zoo_averaging.options import SwaOptions


class Swa(Averaging):
    """The equal mean of all weights that were added: Izmailov et al. (2018, arXiv:1803.05407), algorithm 1.

    The learning rate that it wants is that of the schedule ``swa``. Kept as a sum in float64 (8 bytes a weight, beside
    the model; in the host's memory where the device has no float64), so that the mean of thousands is rounded once.
    """

    options: SwaOptions

    def __init__(self, options: SwaOptions) -> None:
        super().__init__(options)
        self._count = 0
        self._sum: list[Tensor] = []

    def add(self, weights: Sequence[Tensor]) -> None:
        wide = [weight.to(_home(weight), torch.float64) for weight in widened(weights)]
        if self._count == 0:
            self._sum = [torch.zeros_like(weight) for weight in wide]
        torch._foreach_add_(self._sum, wide)
        self._count += 1

    def average(self) -> list[Tensor]:
        return list(torch._foreach_div(self._sum, float(self._count)))

    def state(self) -> dict[str, Any]:
        return {"count": self._count, "sum": self._sum}

    def load_state(self, state: dict[str, Any], weights: Sequence[Tensor]) -> None:
        self._count = state["count"]
        # Empty before the first `add`.
        self._sum = [kept.to(_home(weight)) for kept, weight in zip(state["sum"], weights, strict=False)]


def _home(weight: Tensor) -> torch.device:
    """Where the sum of `weight` stands."""
    return torch.device("cpu") if weight.device.type == "mps" else weight.device
