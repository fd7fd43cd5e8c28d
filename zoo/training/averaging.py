"""What training asks of an averaging of weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from zoo.spec.averaging import AveragingOptions


class Averaging(ABC):
    """Built as ``target(options)``. It takes in the weights of steps and gives their average.

    The host says which steps count (`AveragingOptions.counts`), whose tensors the weights are (each trained parameter
    once, however many names share it), and puts the average into the model. Weights come in one order, of one shape and
    on one device each.
    """

    def __init__(self, options: AveragingOptions) -> None:
        self.options = options

    @abstractmethod
    def add(self, weights: Sequence[Tensor]) -> None:
        """Take in the weights of one more step. They are the model's own: copy what is kept, write to none."""

    @abstractmethod
    def average(self) -> list[Tensor]:
        """The average of what was added, in float32 or wider, on any device. At least one `add` came before.

        The host only reads it, before the next `add`.
        """

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """For a checkpoint: a tree that `zoo.training.weights.statefile` holds."""

    @abstractmethod
    def load_state(self, state: dict[str, Any], weights: Sequence[Tensor]) -> None:
        """Go on where `state` was taken, bit for bit. Its tensors come on the CPU; `weights` show their devices."""


def widened(weights: Sequence[Tensor]) -> list[Tensor]:
    """The weights in float32 where they are narrower; else the same tensors, detached."""
    return [weight.detach().to(torch.promote_types(weight.dtype, torch.float32)) for weight in weights]
