"""The standard memory: the encoder's output."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.models.contracts import Fusion, Memory


class Top(Fusion):
    """Keys and values of every decoder layer come from the last encoder layer (Vaswani et al. 2017, section 3.2.3)."""

    needs_all_layers = False
    shared_by_layers = True

    def memory(self, layer_states: Tensor, mask: Tensor | None, decoder_layer: int) -> Memory:
        top = layer_states[:, -1]  # [B, S, D]
        if self.context.encoder_layers in self.omitted:
            top = torch.zeros_like(top)
        return Memory(top, top, mask)

    def contributions(self, layer_states: Tensor, decoder_layer: int) -> Tensor:
        top = self.memory(layer_states, None, decoder_layer).value_source  # [B, S, D]
        below = top.new_zeros(layer_states.shape[1] - 1, *top.shape)  # [L - 1, B, S, D]
        return torch.cat((below, top[None]))  # [L, B, S, D]
