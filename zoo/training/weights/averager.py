"""An averaging at work in a run: when it takes in weights, and how the average gets into the model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from zoo.spec.averaging import AveragingOptions
from zoo.spec.options import Chosen
from zoo.training.averaging import Averaging


def averaged_tensors(model: nn.Module) -> dict[str, Tensor]:
    """What of `model` is averaged: trained parameters, each once, and running statistics of normalisations.

    Every other buffer, counters among them, stays the model's own.
    """
    parameters = {name: item for name, item in model.named_parameters() if item.requires_grad}
    statistics = {
        f"{path}.{name}".removeprefix("."): getattr(module, name)
        for path, module in model.named_modules()
        if isinstance(module, _NormBase) and module.running_mean is not None
        for name in ("running_mean", "running_var")
    }
    return {**parameters, **statistics}


class Averager:
    """Averages the weights of `model`, which stands on its device, over the steps of a run.

    `count` sets of weights are in the average, those of steps `first` to `last`.
    """

    def __init__(self, chosen: Chosen, model: nn.Module, total_steps: int) -> None:
        assert isinstance(chosen.options, AveragingOptions)  # as their kind demands
        self.count = self.first = self.last = 0
        self._chosen = chosen
        self._options = chosen.options
        self._averaging: Averaging = chosen.create()
        self._tensors = list(averaged_tensors(model).values())
        self._total_steps = total_steps

    def after_step(self, step: int) -> None:
        """Take in the weights that optimizer step `step` (counted from 1) has left, if they count."""
        if not self._options.counts(step, self._total_steps):
            return
        with torch.no_grad():
            self._averaging.add(self._tensors)
        self.count += 1
        self.first, self.last = self.first or step, step

    @torch.no_grad()
    def put(self) -> None:
        """Write the average, in the weights' own types, over the model's weights."""
        for tensor, mean in zip(self._tensors, self._averaging.average(), strict=True):
            tensor.copy_(mean)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The average in the model for the length of the block; then its own weights again, bit for bit."""
        own = [tensor.detach().clone() for tensor in self._tensors]
        self.put()
        try:
            yield
        finally:
            with torch.no_grad():
                for tensor, kept in zip(self._tensors, own, strict=True):
                    tensor.copy_(kept)

    def facts(self, *, in_folder: bool) -> dict[str, Any]:
        """For ``training.json``. `in_folder` says whether the weights at the run's top are the average."""
        return {
            "component": self._chosen.id,
            "count": self.count,
            "first_step": self.first,
            "last_step": self.last,
            "in_folder": in_folder,
        }

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"count": self.count, "first": self.first, "last": self.last, "averaging": self._averaging.state()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        self.count, self.first, self.last = state["count"], state["first"], state["last"]
        self._averaging.load_state(state["averaging"], self._tensors)
