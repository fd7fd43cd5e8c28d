"""Schedule-free AdamW."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from schedulefree import AdamWScheduleFree
from torch.optim import Optimizer

from zoo.training.contracts import NamedParameters, OptimizerFactory
from zoo_optimizers.groups import decay_groups
from zoo_optimizers.optimizer_options import ScheduleFreeOptions

_ASIDE = "y"
"""Where an iterate is kept while its parameter shows the average."""


class _AdamWScheduleFree(AdamWScheduleFree):  # type: ignore[misc]
    """The library's, which goes from y to the average and back by arithmetic, and so not to the same bits.

    Here y is put aside meanwhile. That takes as much memory as the gradients do, which are gone by then.
    """

    @torch.no_grad()
    def show_average(self) -> None:
        """Have every parameter hold the average x."""
        for parameter, state in self.state.items():
            state[_ASIDE] = parameter.detach().clone()
        self.eval()

    @torch.no_grad()
    def show_iterate(self) -> None:
        """Have every parameter hold y again."""
        for parameter, state in self.state.items():
            parameter.copy_(state.pop(_ASIDE))
        for group in self.param_groups:
            group["train_mode"] = True

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        if any(not group["train_mode"] for group in self.param_groups):
            self.show_iterate()


class ScheduleFree(OptimizerFactory):
    """Defazio et al. 2024 (arXiv:2405.15682), algorithm 1, by the authors' library.

    Gradients are taken at ``y = (1 - beta) z + beta x``, z moves by AdamW's step without a first moment, and x is the
    average of z. The parameters hold y in training; evaluation, checkpoints and the finished model get x. No decay is
    needed: take the schedule `constant`, with a warm-up.
    """

    options: ScheduleFreeOptions

    def create(self, parameters: NamedParameters) -> Optimizer:
        options = self.options
        optimizer = _AdamWScheduleFree(
            decay_groups(parameters, options.weight_decay, options.no_decay),
            lr=options.lr,
            betas=(options.beta1, options.beta2),
            eps=options.eps,
            r=options.r,
            weight_lr_power=options.weight_lr_power,
        )
        optimizer.train()
        return optimizer  # type: ignore[no-any-return]

    @contextmanager
    def serving(self, optimizer: Optimizer) -> Iterator[None]:
        assert isinstance(optimizer, _AdamWScheduleFree)
        optimizer.show_average()
        try:
            yield
        finally:
            optimizer.show_iterate()

    def state_bytes(self, parameters: NamedParameters) -> int:
        """z and the second moment."""
        return sum(8 * parameter.numel() for _, parameter in parameters)
