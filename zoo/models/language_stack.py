"""The one stack of a language model: it reads the source and writes the target."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers.modeling_outputs import BaseModelOutputWithPast

from zoo.models._compat import CACHE, GradientCheckpointingLayer
from zoo.models.attention import SelfAttention, View, view_of_pass
from zoo.models.backends import backend_name
from zoo.models.configuration import ZooConfig
from zoo.models.contracts import Position
from zoo.models.layers import make_attention, make_block
from zoo.models.prefix import prefix_visibility
from zoo.models.stack import Stack
from zoo.models.visibility import Padding, causal_visibility
from zoo.spec.model_section import ModelSection


class LanguageLayer(GradientCheckpointingLayer):  # type: ignore[misc]
    """Masked self-attention, with a cache, and feed-forward."""

    def __init__(self, section: ModelSection, layer: int) -> None:
        super().__init__()
        self.self_attention = make_attention(SelfAttention, section, layer)
        self.feedforward = section.feedforward.create(section.d_model)
        self.block = make_block(section, "decoder", layer, sublayers=2)

    def forward(
        self,
        x: Tensor,
        *,
        view: View,
        position: Position,
        past_key_values: Any = None,
        weights: list[Tensor] | None = None,
    ) -> Tensor:
        """x ``[B, L, D]`` -> ``[B, L, D]``."""

        def attend(inner: Tensor) -> Tensor:
            return self.self_attention(inner, view, position, past_key_values, weights)  # type: ignore[no-any-return]

        return self.block(x, (attend, self.feedforward))  # type: ignore[no-any-return]


class LanguageStack(Stack):
    """Every token sees itself and what comes before it; those of a prefix see each other too."""

    side = "decoder"

    def __init__(self, config: ZooConfig, section: ModelSection, *, seed: int) -> None:
        super().__init__(config, section, LanguageLayer, seed)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        position_ids: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        segment_ids: Tensor | None = None,
        prefix_mask: Tensor | None = None,
    ) -> BaseModelOutputWithPast:
        """Token ids ``[B, L]`` or vectors ``[B, L, D]`` after what `past_key_values` holds (P tokens).

        `attention_mask` ``[B, P + L]`` (nonzero = real); `position_ids` ``[B or 1, L]``: without them real tokens count
        from zero. `segment_ids` ``[B, L]`` number the examples of packed rows from 1, with 0 for padding: each sees and
        counts its own tokens only. `prefix_mask` ``[B, L]``: the tokens that see each other in both directions, of rows
        that are read whole.
        """
        given = input_ids if input_ids is not None else inputs_embeds
        if given is None:
            raise ValueError("the decoder takes either token ids or embeddings")
        length = given.shape[1]
        total = length + (0 if past_key_values is None else past_key_values.get_seq_length())
        if segment_ids is not None and attention_mask is not None:
            raise ValueError("segment_ids and attention_mask: packed rows need no mask, padding is segment 0")
        if total > length and (segment_ids is not None or prefix_mask is not None):
            what = "packed rows are" if segment_ids is not None else "a prefix is"
            raise ValueError(f"{what} read whole: there is no going on from a cache")
        placed = self.placed(total, position_ids, segment_ids)
        padding = Padding.covering(attention_mask, total, "attention_mask")
        q_positions, k_positions = padding.cached_positions(placed, length, total, given.device)
        mask, causal = causal_visibility(padding, length, total, given.device, segment_ids)
        if prefix_mask is not None:
            real = prefix_mask.bool() if padding.mask is None else prefix_mask.bool() & padding.mask  # [B, L]
            mask, causal = prefix_visibility(mask, real, segment_ids), False
        x = self.embed(input_ids, inputs_embeds, q_positions)  # [B, L, D]
        schemes = self.schemes()
        view = view_of_pass(
            x,
            schemes,
            q_positions=q_positions,
            k_positions=k_positions,
            mask=mask,
            causal=causal,
            backend=backend_name(self.config._attn_implementation),
            dropout=self.attention_dropout,
            share=not self.checkpointing,
            consecutive=position_ids is None and not padding.gaps,
            backwards=prefix_mask is None,
        )
        hidden: list[Tensor] | None = [x] if output_hidden_states else None
        weights: list[Tensor] | None = [] if output_attentions else None
        for layer, scheme in zip(self.layers, schemes, strict=True):
            x = layer(x, view=view, position=scheme, past_key_values=past_key_values, weights=weights)  # [B, L, D]
            if hidden is not None:
                hidden.append(x)
        x = self.final_norm(x)
        if hidden is not None:
            hidden[-1] = x
        return BaseModelOutputWithPast(
            last_hidden_state=x,
            **{CACHE: past_key_values},
            hidden_states=None if hidden is None else tuple(hidden),
            attentions=None if weights is None else tuple(weights),
        )
