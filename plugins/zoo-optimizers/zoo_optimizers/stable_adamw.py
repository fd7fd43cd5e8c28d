"""AdamW with update clipping."""

from __future__ import annotations

import optimi
from torch.optim import Optimizer

from zoo.training.contracts import NamedParameters, OptimizerFactory
from zoo_optimizers.groups import decay_groups
from zoo_optimizers.on_triton import use_triton
from zoo_optimizers.optimizer_options import StableAdamWOptions


class StableAdamW(OptimizerFactory):
    """Wortsman et al. 2023 (arXiv:2304.13013), algorithm 2, as torch-optimi implements it.

    ``RMS_t = sqrt(mean(g^2 / max(u_t, eps^2)))`` of each tensor, u_t after its update; the tensor's rate, and with it
    its weight decay, is ``alpha / max(1, RMS_t)``. So a step after a jump in the gradient is small where AdamW's, whose
    second moment lags behind, is large, and gradient clipping is usually left off.
    """

    options: StableAdamWOptions
    clips_updates = True

    def create(self, parameters: NamedParameters) -> Optimizer:
        options = self.options
        return optimi.StableAdamW(  # type: ignore[no-any-return]
            decay_groups(parameters, options.weight_decay, options.no_decay),
            lr=options.lr,
            betas=(options.beta1, options.beta2),
            eps=options.eps,
            foreach=False,
            triton=use_triton(parameters),
        )

    def state_bytes(self, parameters: NamedParameters) -> int:
        """Two moments, and the square of eps that each tensor keeps."""
        scratch = 5 if use_triton(parameters) else 0
        return sum(8 * parameter.numel() + 4 + scratch for _, parameter in parameters)
