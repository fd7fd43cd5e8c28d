"""The decoder stack, and the fusion that makes its memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions

from zoo.errors import InputError
from zoo.models._compat import CACHE, cached_keys_and_values, reserve_layers
from zoo.models.attention import View, view_of_pass
from zoo.models.backends import backend_name
from zoo.models.configuration import ZooConfig
from zoo.models.contracts import Context, ContextEncoder, Fusion, FusionContext, Position
from zoo.models.layers import AttendContext, DecoderLayer
from zoo.models.seeding import own_randomness
from zoo.models.stack import Stack
from zoo.models.visibility import Padding, causal_visibility, memory_visibility, segment_positions
from zoo.spec.model_section import ModelSection

Sources = tuple[Tensor | None, Tensor | None, Tensor | None]
"""Key source and value source ``[B, S, D]`` and mask ``[B, S]`` of one memory."""


class Decoder(Stack):
    """Writes the target; every token sees itself, what comes before it, and the memory."""

    side = "decoder"

    def __init__(self, config: ZooConfig, section: ModelSection, *, seed: int) -> None:
        super().__init__(config, section, DecoderLayer, seed)
        context = FusionContext(
            encoder_layers=section.stack("encoder").layers,
            decoder_layers=section.decoder_layers,
            d_model=section.d_model,
        )
        assert section.fusion is not None  # the section has seen to it
        with own_randomness(seed, "decoder.fusion"):
            self.fusion: Fusion = section.fusion.create(context)
        self.context_encoder: ContextEncoder | None = None
        """What attends to a second source; an encoder's stands there."""
        self.cross_position: Position | None = None
        if section.cross_position is not None:
            with own_randomness(seed, "decoder.cross_position"):
                self.cross_position = section.cross_position.create(replace(self.position.context, cross=True))

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        encoder_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        position_ids: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        segment_ids: Tensor | None = None,
        encoder_segment_ids: Tensor | None = None,
        context: Context | None = None,
        encoder_positions: Tensor | None = None,
    ) -> BaseModelOutputWithPastAndCrossAttentions:
        """Token ids ``[B, T]`` or vectors ``[B, T, D]`` after what `past_key_values` holds (P tokens).

        `attention_mask` ``[B, P + T]`` (nonzero = real); `encoder_states` ``[B, L, S, D]``, or ``[B, 1, S, D]`` where
        the fusion needs the top only; `position_ids` ``[B or 1, T]``: without them real tokens count from zero.
        Of packed rows `segment_ids` ``[B, T]`` and `encoder_segment_ids` ``[B, S]`` number the sentences from 1, with
        0 for padding: each sees its own tokens and its own source. `context` is a second source for the decoder.
        `encoder_positions` ``[B or 1, S]`` place the sources for a `cross_position`; without them real tokens count
        from zero.
        """
        given = input_ids if input_ids is not None else inputs_embeds
        if given is None:
            raise ValueError("the decoder takes either token ids or embeddings")
        length = given.shape[1]
        total = length + (0 if past_key_values is None else past_key_values.get_seq_length())
        _refuse_half_packed(segment_ids, encoder_segment_ids, attention_mask, cached=total > length)
        placed = self.placed(total, position_ids, segment_ids)
        padding = Padding.covering(attention_mask, total, "decoder_attention_mask")
        q_positions, k_positions = padding.cached_positions(placed, length, total, given.device)
        mask, causal = causal_visibility(padding, length, total, given.device, segment_ids)
        x = self.embed(input_ids, inputs_embeds, q_positions)  # [B, T, D]
        backend = backend_name(self.config._attn_implementation)
        schemes = self.schemes()
        view = view_of_pass(
            x,
            schemes,
            q_positions=q_positions,
            k_positions=k_positions,
            mask=mask,
            causal=causal,
            backend=backend,
            dropout=self.attention_dropout,
            share=not self.checkpointing,
            consecutive=position_ids is None and not padding.gaps,
            backwards=True,
        )
        own_source = None
        if segment_ids is not None and encoder_segment_ids is not None:
            encoder_attention_mask = encoder_segment_ids != 0
            own_source = memory_visibility(segment_ids, encoder_segment_ids)  # [B, 1, T, S]
        memories = self._memories(encoder_states, encoder_attention_mask, past_key_values)
        sources = self._source_positions(
            memories[0], encoder_attention_mask, past_key_values, encoder_positions, encoder_segment_ids, total
        )
        hidden: list[Tensor] | None = [x] if output_hidden_states else None
        weights: list[Tensor] | None = [] if output_attentions else None
        cross_weights: list[Tensor] | None = [] if output_attentions else None
        if context is not None and past_key_values is not None:
            reserve_layers(past_key_values.cross_attention_cache, 2 * len(self.layers))
        placing = None if self.cross_position is None else [self.cross_position.layer(i) for i in range(len(schemes))]
        memory_view, seen_by = None, None
        for index, (layer, scheme, memory) in enumerate(zip(self.layers, schemes, memories, strict=True)):
            key_source, value_source, memory_mask = memory
            if memory_view is None or memory_mask is not seen_by:  # else as the layer before
                seen_by = memory_mask
                keys = _visible_sources(memory_mask, own_source)
                memory_view = self._memory_view(x, placing, q_positions, sources, keys, backend)
            x = layer(
                x,
                key_source,
                value_source,
                None if context is None else context.states,
                view=view,
                memory_view=memory_view,
                position=scheme,
                cross_position=None if placing is None else placing[index],
                past_key_values=past_key_values,
                weights=weights,
                cross_weights=cross_weights,
                attend_context=self._attend_context(index, context, past_key_values),
            )  # [B, T, D]
            if hidden is not None:
                hidden.append(x)
        x = self.final_norm(x)
        if hidden is not None:
            hidden[-1] = x
        return BaseModelOutputWithPastAndCrossAttentions(
            last_hidden_state=x,
            **{CACHE: past_key_values},
            hidden_states=None if hidden is None else tuple(hidden),
            attentions=None if weights is None else tuple(weights),
            cross_attentions=None if cross_weights is None else tuple(cross_weights),
        )

    def _memory_view(
        self,
        x: Tensor,
        placing: list[Position] | None,
        q_positions: Tensor,
        sources: Tensor | None,
        keys: Tensor | None,
        backend: str,
    ) -> View:
        """The view of targets x ``[B, T, D]`` on a memory, `keys` of which they see; placed where there is a scheme."""
        if placing is None or sources is None:
            return View(q_positions, q_positions, keys, causal=False, backend=backend)
        return view_of_pass(
            x,
            placing,
            q_positions=q_positions,
            k_positions=sources,
            mask=keys,
            causal=False,
            backend=backend,
            dropout=self.attention_dropout,
            share=not self.checkpointing,
        )

    def _attend_context(self, layer: int, context: Context | None, cache: Any) -> AttendContext | None:
        component = self.context_encoder
        if context is None or component is None:
            return None

        backend = backend_name(self.config._attn_implementation)

        def attend(x: Tensor, attended: Tensor, states: Tensor) -> Tensor:
            return component.attend(layer, x, attended, replace(context, states=states), backend, cache)

        return attend

    def _memories(self, states: Tensor | None, mask: Tensor | None, cache: Any) -> list[Sources]:
        """The memory of each layer. Where the cache holds keys and values already, the sources are None."""
        count = len(self.layers)
        real = Padding.of(mask).mask  # [B, S]
        filled = cache is not None and all(cache.is_updated.get(layer) for layer in range(count))
        if filled:
            # A fusion may have made a mask of its own; it was kept beside the keys it belongs to.
            masks = getattr(cache, "zoo_memory_masks", None)
            return [(None, None, real if masks is None else masks[layer]) for layer in range(count)]
        if states is None:
            raise ValueError("the decoder needs the encoder's output")
        if self.fusion.shared_by_layers:
            memories = [self.fusion.memory(states, real, 0)] * count
        else:
            memories = [self.fusion.memory(states, real, layer) for layer in range(count)]
        if cache is not None and any(memory.mask is not real for memory in memories):
            cache.zoo_memory_masks = [memory.mask for memory in memories]
        return [(memory.key_source, memory.value_source, memory.mask) for memory in memories]

    def _source_positions(
        self,
        memory: Sources,
        mask: Tensor | None,
        cache: Any,
        given: Tensor | None,
        segments: Tensor | None,
        targets: int,
    ) -> Tensor | None:
        """Positions ``[B or 1, S]`` of the memory's tokens, where cross-attention has a scheme.

        Raises ValueError where the fusion has changed the memory's length, and InputError past the scheme's table.
        """
        if self.cross_position is None:
            return None
        key_source = memory[0]
        keys = cached_keys_and_values(cache.cross_attention_cache, 0)[0] if key_source is None else key_source
        length = keys.shape[-2]
        limit = self.cross_position.position_limit
        if limit is not None and max(length, targets) > limit:
            raise InputError(
                f"the position scheme of cross-attention ends at {limit} positions, the sequences need "
                f"{max(length, targets)}: shorten them, or train with a larger model.max_positions"
            )
        if given is None and segments is not None:
            given = segment_positions(segments)  # [B, S]
        if given is None:
            given = Padding.of(mask).positions(length, keys.device)  # [B or 1, S]
        if given.shape[-1] != length:
            raise ValueError(
                f"decoder.cross_position places the {given.shape[-1]} source tokens, and this model's fusion makes a "
                f"memory of {length}"
            )
        # One row that the encoder's output repeats for the batch serves as one: vectors and biases are made once.
        return given if given.stride(0) else given[:1]


def _visible_sources(mask: Tensor | None, own_source: Tensor | None) -> Tensor | None:
    """What targets see of a memory with the mask ``[B, S]``, and in packed rows of their `own_source`."""
    keys = None if mask is None else mask.bool()[:, None, None]  # [B, 1, 1, S]
    if own_source is None:
        return keys
    if keys is not None and keys.shape[-1] != own_source.shape[-1]:
        raise ValueError("packed rows: this model's fusion changes the length of its memory")
    return own_source if keys is None else own_source & keys  # [B, 1, T, S]


def _refuse_half_packed(targets: Tensor | None, sources: Tensor | None, mask: Tensor | None, *, cached: bool) -> None:
    """Raise ValueError unless rows are packed on both sides or on neither, and where packed without mask and cache."""
    if (targets is None) != (sources is None):
        raise ValueError("packed rows need both segment_ids and decoder_segment_ids")
    if targets is not None and mask is not None:
        raise ValueError(
            "decoder_segment_ids and decoder_attention_mask: packed rows need no mask, padding is segment 0"
        )
    if targets is not None and cached:
        raise ValueError("packed rows are decoded whole: there is no going on from a cache")
