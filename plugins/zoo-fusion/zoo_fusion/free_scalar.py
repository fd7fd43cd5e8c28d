"""A free number for each pair of decoder layer and encoder output."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo.errors import InputError
from zoo.models.contracts import FusionContext
from zoo_fusion.mixture import Mixture
from zoo_fusion.options import FreeScalarOptions


class FreeScalar(Mixture):
    """``M_k = sum_l w_kl h_l``: one learned weight for each decoder layer k and encoder output l, unnormalised.

    Nothing bounds the weights or their sum, and a weight says little alone, as the scale of h_l is free too: see
    `zoo_fusion.measures.layer_shares`. `normalize_layers` (h_l -> LN(h_l)) and `weights: softmax` are the controls.
    """

    options: FreeScalarOptions

    def __init__(self, options: FreeScalarOptions, context: FusionContext) -> None:
        super().__init__(options, context)
        self.weight = nn.Parameter(self._initial().repeat(context.decoder_layers, 1))  # [K, n]
        self.norms = nn.ModuleList(
            nn.LayerNorm(context.d_model) for _ in range(self.read if options.normalize_layers else 0)
        )

    def _initial(self) -> Tensor:
        options = self.options
        default = 0.0 if options.weights == "softmax" else 1 / self.read
        initial = torch.full((self.read,), default if options.initial is None else options.initial)  # [n]
        if not isinstance(options.prior, list):
            initial[-1] += options.prior
            return initial
        if len(options.prior) != self.read:
            raise InputError(
                f"model.fusion.prior: expected {self.read} numbers, one for each encoder output that is read, "
                f"found {len(options.prior)}"
            )
        return initial + torch.tensor(options.prior)

    def weights(self, decoder_layer: int) -> Tensor:
        weights = self.weight[decoder_layer]  # [n]
        return weights.softmax(-1) if self.options.weights == "softmax" else weights

    def prepared(self, layer_states: Tensor) -> Tensor:
        outputs = super().prepared(layer_states)  # [B, n, S, D]
        if not self.norms:
            return outputs
        return torch.stack([norm(outputs[:, index]) for index, norm in enumerate(self.norms)], dim=1)  # [B, n, S, D]
