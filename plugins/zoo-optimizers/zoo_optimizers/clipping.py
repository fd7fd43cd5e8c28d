"""Gradient clipping by the global norm, and its control."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from zoo.training.contracts import Clipped, Clipping, NamedParameters
from zoo_optimizers.options import NormClippingOptions

_GUARD = 1e-6
"""torch divides by ``norm + 1e-6``: a gradient is changed where that exceeds the bound."""


def _global_norm(parameters: NamedParameters) -> Tensor:
    return get_total_norm([parameter.grad for _, parameter in parameters if parameter.grad is not None])


class NormClipping(Clipping):
    """Pascanu et al. 2013 (arXiv:1211.5063), algorithm 1: ``g *= min(1, c / ||g||)`` over all gradients together.

    Nothing here waits for the device: the factor is applied whether or not it is 1.
    """

    options: NormClippingOptions

    def clip(self, parameters: NamedParameters) -> Clipped:
        norm = _global_norm(parameters)
        clip_grads_with_norm_([parameter for _, parameter in parameters], self.options.max_norm, norm)
        return Clipped(norm=norm, clipped=norm + _GUARD > self.options.max_norm)


class NoClipping(Clipping):
    """Changes nothing; the norm is what a reader needs to see whether clipping would have acted."""

    changes_gradients = False

    def clip(self, parameters: NamedParameters) -> Clipped:
        norm = _global_norm(parameters)
        return Clipped(norm=norm, clipped=torch.zeros_like(norm, dtype=torch.bool))
