"""The decoder attends to source and context."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from zoo.models.attention import view_of_memory
from zoo.models.contracts import Context, ContextEncoder, ContextPlace
from zoo_multi_encoder.gate import combination
from zoo_multi_encoder.options import CombinedOptions


class Inside(ContextEncoder):
    """``g * Attention(x, H_s, H_s) + (1 - g) * Attention(x, H_c, H_c)`` in every decoder layer (Li et al. 2020,
    section 2.2), with attention and gate of its own in each."""

    where = "decoder"

    def __init__(self, options: CombinedOptions, place: ContextPlace) -> None:
        super().__init__(options, place)
        layers = range(place.decoder_layers)
        # In the cache they stand behind the attentions to the source.
        self.attentions = nn.ModuleList(place.make_attention(place.decoder_layers + layer) for layer in layers)
        self.combine = nn.ModuleList(combination(options.combine, place.d_model) for _ in layers)

    def attend(
        self, decoder_layer: int, x: Tensor, attended: Tensor, context: Context, backend: str, cache: Any
    ) -> Tensor:
        view = view_of_memory(x, context.states.shape[1], context.visible(), backend)
        found = self.attentions[decoder_layer](x, context.states, context.states, view, cache)  # [B, T, D]
        return context.where_present(self.combine[decoder_layer](attended, found), attended)
