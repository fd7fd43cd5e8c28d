"""Adam with decoupled weight decay."""

from __future__ import annotations

import torch
from torch.optim import Optimizer

from zoo.training.contracts import NamedParameters, OptimizerFactory
from zoo_optimizers.groups import decay_groups
from zoo_optimizers.options import AdamWOptions

_FUSED_DEVICES = {"cpu", "cuda"}


def fused_where_possible(parameters: NamedParameters) -> bool | None:
    """Whether one fused kernel of torch can move all of them; None, which leaves the choice to torch, if not."""
    found = all(
        parameter.device.type in _FUSED_DEVICES and parameter.is_floating_point() for _, parameter in parameters
    )
    return found or None


class AdamW(OptimizerFactory):
    """Loshchilov & Hutter 2019 (arXiv:1711.05101), algorithm 2, as torch implements it.

    One fused kernel where every parameter is on a device that has it: on a CPU that is many times faster than the
    loop over tensors that torch takes by default. Elsewhere torch chooses.
    """

    options: AdamWOptions

    def create(self, parameters: NamedParameters) -> Optimizer:
        options = self.options
        return torch.optim.AdamW(
            decay_groups(parameters, options.weight_decay, options.no_decay),
            lr=options.lr,
            betas=(options.beta1, options.beta2),
            eps=options.eps,
            fused=fused_where_possible(parameters),
        )

    def state_bytes(self, parameters: NamedParameters) -> int:
        """Two moments of each number and a step counter for each parameter."""
        return sum(8 * parameter.numel() + 4 for _, parameter in parameters)
