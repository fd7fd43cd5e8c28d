"""Adam with decoupled weight decay."""

from __future__ import annotations

import torch
from torch.optim import Optimizer

from zoo.training.contracts import NamedParameters, OptimizerFactory
from zoo_optimizers.groups import decay_groups
from zoo_optimizers.options import AdamWOptions

_FUSED_DEVICES = {"cpu", "cuda"}


class AdamW(OptimizerFactory):
    """Loshchilov & Hutter 2019 (arXiv:1711.05101), algorithm 2, as torch implements it.

    One fused kernel where every parameter is on a device that has it: on a CPU that is many times faster than the
    loop over tensors that torch takes by default. Elsewhere torch chooses.
    """

    options: AdamWOptions

    def create(self, parameters: NamedParameters) -> Optimizer:
        options = self.options
        fused = all(
            parameter.device.type in _FUSED_DEVICES and parameter.is_floating_point() for _, parameter in parameters
        )
        return torch.optim.AdamW(
            decay_groups(parameters, options.weight_decay, options.no_decay),
            lr=options.lr,
            betas=(options.beta1, options.beta2),
            eps=options.eps,
            fused=fused or None,
        )
