"""A last encoder layer that reads source and context."""

from __future__ import annotations

from torch import Tensor, nn

from zoo.models.attention import view_of_memory
from zoo.models.contracts import Context, ContextEncoder, ContextPlace
from zoo.spec.context import ContextOptions
from zoo_multi_encoder.gate import Gate


class Gated(ContextEncoder):
    """One more encoder layer, whose attention is ``g * Attention(x, x, x) + (1 - g) * Attention(x, H_c, H_c)`` (Voita
    et al. 2018, section 3.1, there with ``share: weights``).

    It stands on top of the encoder's layers, one of which it replaces in the paper. Relative positions do not reach its
    attention; without a context g is 1.
    """

    where = "encoder"

    def __init__(self, options: ContextOptions, place: ContextPlace) -> None:
        super().__init__(options, place)
        self.to_source, self.to_context = (place.make_attention(0) for _ in range(2))
        self.gate = Gate(place.d_model, place.d_model)
        self.feedforward = place.make_feedforward()
        self.block = place.make_block(2)
        self.final_norm: nn.Module = place.make_norm() if self.block.final_norm else nn.Identity()

    def merge(self, states: Tensor, mask: Tensor | None, context: Context | None, backend: str) -> Tensor:
        def attend(x: Tensor) -> Tensor:
            own = self.to_source(x, x, x, view_of_memory(x, x.shape[1], mask, backend))  # [B, S, D]
            if context is None:
                return own  # type: ignore[no-any-return]
            view = view_of_memory(x, context.states.shape[1], context.visible(), backend)
            found = self.to_context(x, context.states, context.states, view)  # [B, S, D]
            return context.where_present(self.gate(own, found), own)

        return self.final_norm(self.block(states, (attend, self.feedforward)))  # type: ignore[no-any-return]
