"""One encoder layer and one decoder layer: sublayers, arranged by the chosen block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from torch import Tensor, nn

from zoo.models._compat import GradientCheckpointingLayer
from zoo.models.attention import CrossAttention, SelfAttention, View
from zoo.models.contracts import Block, BlockContext, Position, Side
from zoo.spec.model_section import ModelSection

AttentionT = TypeVar("AttentionT", SelfAttention, CrossAttention)
AttendContext = Callable[[Tensor, Tensor, Tensor], Tensor]
"""What enters the cross-attention ``[B, T, D]``, what it found ``[B, T, D]``, and states of a second source
``[B, C, D]`` -> ``[B, T, D]``."""


def norm_maker(section: ModelSection) -> Callable[[], nn.Module]:
    """Makes one more normalisation of the model's width."""
    return lambda: section.normalization.create(section.d_model)


def make_block(section: ModelSection, side: Side, layer: int, sublayers: int) -> Block:
    """The block of layer `layer` of a stack."""
    context = BlockContext(
        side=side,
        layer=layer,
        encoder_layers=section.encoder_layers,
        decoder_layers=section.decoder_layers,
        sublayers=sublayers,
        make_norm=norm_maker(section),
        dropout=section.dropout,
    )
    block: Block = section.block.create(context)
    return block


def make_attention(kind: type[AttentionT], section: ModelSection, layer: int) -> AttentionT:
    """The self- or cross-attention of layer `layer` of a stack."""
    return kind(
        section.d_model,
        section.heads,
        bias=section.bias,
        dropout=section.attention_dropout,
        layer=layer,
        head_dim=section.head_dim,
        head_dropout=section.head_dropout,
    )


class EncoderLayer(GradientCheckpointingLayer):  # type: ignore[misc]
    """Self-attention and feed-forward."""

    def __init__(self, section: ModelSection, layer: int) -> None:
        super().__init__()
        self.self_attention = make_attention(SelfAttention, section, layer)
        self.feedforward = section.feedforward.create(section.d_model)
        self.block = make_block(section, "encoder", layer, sublayers=2)

    def forward(self, x: Tensor, *, view: View, position: Position, weights: list[Tensor] | None = None) -> Tensor:
        """x ``[B, S, D]`` -> ``[B, S, D]``."""

        def attend(inner: Tensor) -> Tensor:
            return self.self_attention(inner, view, position, None, weights)  # type: ignore[no-any-return]

        return self.block(x, (attend, self.feedforward))  # type: ignore[no-any-return]


class DecoderLayer(GradientCheckpointingLayer):  # type: ignore[misc]
    """Masked self-attention, attention to the memory, and feed-forward."""

    def __init__(self, section: ModelSection, layer: int) -> None:
        super().__init__()
        self.self_attention = make_attention(SelfAttention, section, layer)
        self.cross_attention = make_attention(CrossAttention, section, layer)
        self.feedforward = section.feedforward.create(section.d_model)
        self.block = make_block(section, "decoder", layer, sublayers=3)

    def forward(
        self,
        x: Tensor,
        key_source: Tensor | None,
        value_source: Tensor | None,
        context_states: Tensor | None = None,
        *,
        view: View,
        memory_view: View,
        position: Position,
        cross_position: Position | None = None,
        past_key_values: Any = None,
        weights: list[Tensor] | None = None,
        cross_weights: list[Tensor] | None = None,
        attend_context: AttendContext | None = None,
    ) -> Tensor:
        """x ``[B, T, D]``, sources ``[B, S, D]``, states of a second source ``[B, C, D]`` -> ``[B, T, D]``.

        The sources are positional: what a checkpointed layer gets by keyword receives no gradient.
        """
        own_cache = None if past_key_values is None else past_key_values.self_attention_cache

        def attend(inner: Tensor) -> Tensor:
            return self.self_attention(inner, view, position, own_cache, weights)  # type: ignore[no-any-return]

        def attend_memory(inner: Tensor) -> Tensor:
            attended: Tensor = self.cross_attention(
                inner, key_source, value_source, memory_view, past_key_values, cross_weights, cross_position
            )  # [B, T, D]
            if attend_context is None or context_states is None:
                return attended
            return attend_context(inner, attended, context_states)

        return self.block(x, (attend, attend_memory, self.feedforward))  # type: ignore[no-any-return]
