"""Mean of the newest weights."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from zoo.training.averaging import Averaging, widened
from zoo_averaging.mean import mean
from zoo_averaging.options import LastKOptions


class LastK(Averaging):
    """The equal mean of the last k sets of weights: Vaswani et al. (2017, arXiv:1706.03762, section 6.1) average the
    last 5 checkpoints; Kaddour (2022, arXiv:2209.14981) does so while training goes on.

    The sets stand in the host's memory, in float32: k times 4 bytes a weight. Fewer than k count until there are k.
    """

    options: LastKOptions

    def __init__(self, options: LastKOptions) -> None:
        super().__init__(options)
        self._window: deque[list[Tensor]] = deque(maxlen=options.k)

    def add(self, weights: Sequence[Tensor]) -> None:
        self._window.append([weight.to("cpu", copy=True) for weight in widened(weights)])

    def average(self) -> list[Tensor]:
        return [mean(versions) for versions in zip(*self._window, strict=True)]

    def state(self) -> dict[str, Any]:
        return {"window": list(self._window)}

    def load_state(self, state: dict[str, Any], weights: Sequence[Tensor]) -> None:
        self._window = deque(state["window"], maxlen=self.options.k)
