"""The standard memory: the encoder's output."""

from __future__ import annotations

from torch import Tensor

from zoo.models.contracts import Fusion, Memory


class Top(Fusion):
    """Keys and values of every decoder layer come from the last encoder layer (Vaswani et al. 2017, section 3.2.3)."""

    needs_all_layers = False
    shared_by_layers = True

    def memory(self, layer_states: Tensor, mask: Tensor | None, decoder_layer: int) -> Memory:
        top = layer_states[:, -1]  # [B, S, D]
        return Memory(top, top, mask)
