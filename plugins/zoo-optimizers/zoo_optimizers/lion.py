"""Lion."""

from __future__ import annotations

import optimi
from torch.optim import Optimizer

from zoo.training.contracts import NamedParameters, OptimizerFactory
from zoo_optimizers.groups import decay_groups
from zoo_optimizers.on_triton import use_triton
from zoo_optimizers.optimizer_options import LionOptions


class Lion(OptimizerFactory):
    """Chen et al. 2023 (arXiv:2302.06675), algorithm 2, as torch-optimi implements it.

    ``w -= eta (sign(beta1 m + (1 - beta1) g) + lambda w); m = beta2 m + (1 - beta2) g``. Every number moves by eta: the
    paper takes rates three to ten times smaller than AdamW's, and a weight decay larger by as much (section 5).
    """

    options: LionOptions

    def create(self, parameters: NamedParameters) -> Optimizer:
        options = self.options
        return optimi.Lion(  # type: ignore[no-any-return]
            decay_groups(parameters, options.weight_decay, options.no_decay),
            lr=options.lr,
            betas=(options.beta1, options.beta2),
            foreach=False,
            triton=use_triton(parameters),
        )

    def state_bytes(self, parameters: NamedParameters) -> int:
        """One momentum."""
        scratch = 1 if use_triton(parameters) else 0
        return sum(4 * parameter.numel() + scratch for _, parameter in parameters)
