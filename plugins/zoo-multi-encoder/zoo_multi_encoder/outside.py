"""The context enters between encoder and decoder."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from zoo.models.attention import view_of_memory
from zoo.models.contracts import Context, ContextEncoder, ContextPlace
from zoo_multi_encoder.gate import combination
from zoo_multi_encoder.options import CombinedOptions


class Outside(ContextEncoder):
    """``H = g * H_s + (1 - g) * Attention(H_s, H_c, H_c)`` is what the decoder reads (Li et al. 2020, section 2.1).

    H_s and H_c are the tops of source and context encoder.
    """

    where = "encoder"

    def __init__(self, options: CombinedOptions, place: ContextPlace) -> None:
        super().__init__(options, place)
        self.attention = place.make_attention(0)
        self.combine = combination(options.combine, place.d_model)

    def merge(self, states: Tensor, mask: Tensor | None, context: Context | None, backend: str) -> Tensor:
        if context is None:
            return states
        view = view_of_memory(states, context.states.shape[1], context.visible(), backend)
        found = self.attention(states, context.states, context.states, view)  # [B, S, D]
        found = F.dropout(found, self.place.dropout, self.training)
        return context.where_present(self.combine(states, found), states)
