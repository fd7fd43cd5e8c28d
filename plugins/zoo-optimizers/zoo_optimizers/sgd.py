"""Stochastic gradient descent with momentum."""

from __future__ import annotations

import torch
from torch.optim import Optimizer

from zoo.training.contracts import NamedParameters, OptimizerFactory
from zoo_optimizers.adamw import fused_where_possible
from zoo_optimizers.groups import decay_groups
from zoo_optimizers.optimizer_options import SgdOptions


class Sgd(OptimizerFactory):
    """Sutskever et al. 2013 (equations 1 and 2) in torch's form: ``b = mu b + g; w -= lr b``, or ``lr (g + mu b)``."""

    options: SgdOptions

    def create(self, parameters: NamedParameters) -> Optimizer:
        options = self.options
        return torch.optim.SGD(
            decay_groups(parameters, options.weight_decay, options.no_decay),
            lr=options.lr,
            momentum=options.momentum,
            nesterov=options.nesterov,
            fused=fused_where_possible(parameters),
        )

    def state_bytes(self, parameters: NamedParameters) -> int:
        """The momentum, if there is one."""
        return sum(4 * parameter.numel() for _, parameter in parameters) if self.options.momentum else 0
