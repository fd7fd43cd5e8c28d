"""Adafactor with an external learning rate."""

from __future__ import annotations

import math
from typing import Any

from torch.optim import Optimizer
from transformers.optimization import Adafactor as TransformersAdafactor

from zoo.training.contracts import NamedParameters, OptimizerFactory
from zoo_optimizers.groups import decay_groups
from zoo_optimizers.options import AdafactorOptions


class _Adafactor(TransformersAdafactor):  # type: ignore[misc]
    """transformers' Adafactor whose relative steps keep the group's rate as a factor, so that schedules reach them."""

    @staticmethod
    def _get_lr(param_group: dict[str, Any], param_state: dict[str, Any]) -> Any:
        rate = param_group["lr"]
        if param_group["relative_step"]:
            step = param_state["step"]
            largest = 1e-6 * step if param_group["warmup_init"] else 1e-2
            rate *= min(largest, 1 / math.sqrt(step))
        if param_group["scale_parameter"]:
            rate *= max(param_group["eps"][1], param_state["RMS"])
        return rate


class Adafactor(OptimizerFactory):
    """Shazeer & Stern 2018 (arXiv:1804.04235), algorithms 4 and 5.

    The second moment of a matrix is kept as row and column means (section 3), its decay is ``1 - t^-c`` (section 7.2),
    and an update whose root mean square exceeds d is scaled down to d (section 6). Where there is a first moment, it
    averages updates that already carry the learning rate.

    The paper's step size ``alpha_t = max(eps_2, RMS(X)) rho_t`` with ``rho_t = min(10^-2, 1/sqrt(t))`` (section 8,
    table 2) is `scale_parameter` with `relative_step`. Both are off by default: the rate is the schedule's, so that
    learning rates compare with other optimizers'.

    Leave gradient clipping off beside it: the update is ``g / sqrt(v)``, in which a factor common to all gradients of
    a step mostly cancels, and d bounds what is left. Clipping by norm on top only spoils the second moment's memory
    of large gradients.
    """

    options: AdafactorOptions
    clips_updates = True

    def create(self, parameters: NamedParameters) -> Optimizer:
        options = self.options
        optimizer: Optimizer = _Adafactor(
            decay_groups(parameters, options.weight_decay, options.no_decay),
            lr=options.lr,
            eps=(options.eps, options.eps_scale),
            clip_threshold=math.inf if options.clip_threshold is None else options.clip_threshold,
            decay_rate=-options.decay_rate,
            beta1=options.beta1,
            scale_parameter=options.scale_parameter,
            relative_step=False,
            warmup_init=False,
        )
        # Set behind its back: it refuses a rate beside relative steps.
        for group in optimizer.param_groups:
            group["relative_step"], group["warmup_init"] = options.relative_step, options.warmup_init
        return optimizer

    def state_bytes(self, parameters: NamedParameters) -> int:
        """Row and column means of a matrix, a vector's second moment, the first moment if any, and each one's RMS."""
        first = 0 if self.options.beta1 is None else 1
        numbers = 0
        for _, parameter in parameters:
            shape = parameter.shape
            factored = parameter.numel() // shape[-1] + parameter.numel() // shape[-2] if len(shape) > 1 else None
            numbers += (parameter.numel() if factored is None else factored) + first * parameter.numel() + 1
        return 4 * numbers
