"""Adafactor with an external learning rate."""

from __future__ import annotations

import math
from typing import cast

from torch.optim import Optimizer
from transformers.optimization import Adafactor as TransformersAdafactor

from zoo.training.contracts import NamedParameters, OptimizerFactory
from zoo_optimizers.groups import decay_groups
from zoo_optimizers.options import AdafactorOptions


class Adafactor(OptimizerFactory):
    """Shazeer & Stern 2018 (arXiv:1804.04235), algorithms 4 and 5, with the schedule's learning rate.

    The second moment of a matrix is kept as row and column means (section 3), its decay is ``1 - t^-c`` (section 7.2),
    and an update whose root mean square exceeds d is scaled down to d (section 6). The paper's relative step size and
    scaling by the parameter's own size (section 8) are off, so that learning rates compare with other optimizers'.
    Where there is a first moment, it averages updates that already carry the learning rate.

    Leave gradient clipping off beside it: the update is ``g / sqrt(v)``, in which a factor common to all gradients of
    a step mostly cancels, and d bounds what is left. Clipping by norm on top only spoils the second moment's memory
    of large gradients.
    """

    options: AdafactorOptions
    clips_updates = True

    def create(self, parameters: NamedParameters) -> Optimizer:
        options = self.options
        optimizer = TransformersAdafactor(
            decay_groups(parameters, options.weight_decay, options.no_decay),
            lr=options.lr,
            eps=(options.eps, math.nan),  # the second one belongs to parameter scaling, which is off
            clip_threshold=math.inf if options.clip_threshold is None else options.clip_threshold,
            decay_rate=-options.decay_rate,
            beta1=options.beta1,
            scale_parameter=False,
            relative_step=False,
            warmup_init=False,
        )
        return cast(Optimizer, optimizer)
