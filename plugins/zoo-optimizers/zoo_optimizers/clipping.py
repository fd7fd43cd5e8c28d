"""Gradient clipping: by the global norm, by value, by the size of the weights; and its control.

Nothing here waits for the device: factors are applied whether or not they are 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_value_, clip_grads_with_norm_, get_total_norm

from zoo.training.contracts import Clipped, Clipping, NamedParameters
from zoo_optimizers.clipping_options import AdaptiveClippingOptions, ValueClippingOptions
from zoo_optimizers.options import NormClippingOptions
from zoo_optimizers.parameter_classes import class_of, output_names

_GUARD = 1e-6
"""torch divides by ``norm + 1e-6``: a gradient is changed where that exceeds the bound."""


def _gradients(parameters: NamedParameters) -> list[Tensor]:
    return [parameter.grad for _, parameter in parameters if parameter.grad is not None]


class NormClipping(Clipping):
    """Pascanu et al. 2013 (arXiv:1211.5063), algorithm 1: ``g *= min(1, c / ||g||)`` over all gradients together."""

    options: NormClippingOptions

    def clip(self, parameters: NamedParameters) -> Clipped:
        bound = self.options.max_norm
        norm = get_total_norm(_gradients(parameters))
        clip_grads_with_norm_([parameter for _, parameter in parameters], bound, norm)
        factor = (bound / (norm + _GUARD)).clamp(max=1)
        return Clipped(norm=norm, clipped_norm=norm * factor, clipped=norm + _GUARD > bound)


class NoClipping(Clipping):
    """Changes nothing; the norm is what a reader needs to see whether clipping would have acted."""

    changes_gradients = False

    def clip(self, parameters: NamedParameters) -> Clipped:
        norm = get_total_norm(_gradients(parameters))
        return Clipped(norm=norm, clipped_norm=norm, clipped=torch.zeros_like(norm, dtype=torch.bool))


class ValueClipping(Clipping):
    """``g = min(max(g, -c), c)`` for each element by itself, which turns the gradient.

    Mikolov 2012, as in Goodfellow et al. 2016 (Deep Learning), section 10.11.1.
    """

    options: ValueClippingOptions

    def clip(self, parameters: NamedParameters) -> Clipped:
        bound, gradients = self.options.max_value, _gradients(parameters)
        norm = get_total_norm(gradients)
        largest = get_total_norm(gradients, math.inf)
        if gradients:  # torch fails over none
            clip_grad_value_([parameter for _, parameter in parameters], bound)
        return Clipped(norm=norm, clipped_norm=get_total_norm(gradients), clipped=largest > bound)


class AdaptiveClipping(Clipping):
    """Brock et al. 2021 (arXiv:2102.06171), section 4.1: by each unit's norm beside that of its weights.

    ``G_i *= lambda max(||W_i||, eps) / ||G_i||`` where that is less than 1. A unit is a row of a matrix (an output
    neuron; a token of an embedding table), a filter of a convolution, or a whole vector.
    """

    options: AdaptiveClippingOptions

    def clip(self, parameters: NamedParameters) -> Clipped:
        gradients = _gradients(parameters)
        norm = get_total_norm(gradients)
        changed = [self._clip_units(parameter) for parameter in self._included(parameters)]
        clipped = torch.stack(changed).any() if changed else torch.zeros_like(norm, dtype=torch.bool)
        return Clipped(norm=norm, clipped_norm=get_total_norm(gradients), clipped=clipped)

    def _included(self, parameters: NamedParameters) -> Sequence[nn.Parameter]:
        exclude = self.options.exclude
        outputs = output_names(parameters) if "output" in exclude else ()
        return [
            parameter
            for name, parameter in parameters
            if parameter.grad is not None
            and name not in outputs
            and not ("embeddings" in exclude and class_of(name) == "embeddings")
            and not ("vectors" in exclude and parameter.ndim < 2)
        ]

    @torch.no_grad()
    def _clip_units(self, parameter: nn.Parameter) -> Tensor:
        """Clip one parameter's gradient in place; ``[]``, bool: whether that changed anything."""
        gradient = parameter.grad
        assert gradient is not None
        bounds = self.options.ratio * unit_norms(parameter).clamp(min=self.options.eps)
        norms = unit_norms(gradient)
        gradient.mul_((bounds / norms).clamp(max=1))  # a gradient of 0 has the factor 1
        return (norms > bounds).any()


def unit_norms(weights: Tensor) -> Tensor:
    """L2 norms of the units: ``[N, 1, ...]`` of ``[N, ...]``, ``[1]`` of a vector, ``[]`` of a scalar."""
    extent = tuple(range(1, weights.ndim)) if weights.ndim > 1 else None
    norms: Tensor = torch.linalg.vector_norm(weights, dim=extent, keepdim=True)
    return norms
