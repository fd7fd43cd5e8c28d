"""The encoder stack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutput

from zoo.models.backends import backend_name
from zoo.models.configuration import ZooConfig
from zoo.models.context import ContextReader, ContextStack, has_own_stack
from zoo.models.contracts import Context, ContextEncoder
from zoo.models.encoding import through_layers
from zoo.models.layers import EncoderLayer
from zoo.models.stack import Stack
from zoo.models.visibility import Padding, same_segment
from zoo.spec.context import ContextOptions
from zoo.spec.model_section import ModelSection


@dataclass
class EncoderOutput(BaseModelOutput):  # type: ignore[misc]
    """What the encoder gives the decoder.

    `layer_states` ``[B, layers + 1, S, D]`` holds every layer's output, embeddings first, the last one normalised as
    in `last_hidden_state`; None where the fusion needs the top layer only. It is one batch-first tensor because beam
    search repeats each tensor of this object for the beams, and nothing nested in it. `source_embeddings`
    ``[B, S, D]`` are the scaled token embeddings before positions and dropout; None where no output fusion reads them.
    `context_states` ``[B, C, D]`` and `context_mask` ``[B, C]`` (True = real) are there for a decoder that attends to a
    second source. `positions` ``[B, S]`` are those of the tokens, where cross-attention asks for them.
    """

    last_hidden_state: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    layer_states: Tensor | None = None
    source_embeddings: Tensor | None = None
    context_states: Tensor | None = None
    context_mask: Tensor | None = None
    positions: Tensor | None = None


class Encoder(Stack):
    """Reads the source; every token sees every real token."""

    side = "encoder"
    main_input_name = "input_ids"

    def __init__(self, config: ZooConfig, section: ModelSection, *, keep_layers: bool, seed: int) -> None:
        super().__init__(config, section, EncoderLayer, seed)
        self.keep_layers = keep_layers
        self.bare_first_state = False
        """Whether ``layer_states[:, 0]`` is taken before positions are added: the fusion says so."""
        self.keep_embeddings = False
        """Whether the output carries `source_embeddings`: an output fusion reads them."""
        self.keep_context = False
        """Whether the output carries the context's states: the decoder reads them."""
        self.context_encoder: ContextEncoder | None = None
        """What merges a second source into the output; a decoder's stands there."""
        self.context_stack: ContextStack | None = None
        self.context_reader: ContextReader | None = None
        if section.context_encoder is not None:
            options: ContextOptions = section.context_encoder.options  # type: ignore[assignment]
            self.context_reader = ContextReader(options, section.d_model, section.max_positions)
            if has_own_stack(options):
                self.context_stack = ContextStack(config, section, options, seed)
        self.keep_positions = section.cross_position is not None

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        position_ids: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        segment_ids: Tensor | None = None,
        context_input_ids: Tensor | None = None,
        context_attention_mask: Tensor | None = None,
    ) -> EncoderOutput | tuple[Any, ...]:
        """Token ids ``[B, S]`` or vectors ``[B, S, D]``; mask ``[B, S]`` (nonzero = real); positions ``[B or 1, S]``.

        Without `position_ids` each sentence counts its real tokens from zero. `segment_ids` ``[B, S]`` number the
        sentences of packed rows from 1, with 0 for padding: each sees and counts its own tokens only.
        `context_input_ids` ``[B, C]`` and `context_attention_mask` ``[B, C]`` are the second source of a model with a
        context encoder: rows without a real token, or nothing at all, are sentences without context.
        """
        if segment_ids is not None and attention_mask is not None:
            raise ValueError("segment_ids and attention_mask: packed rows need no mask, padding is segment 0")
        padding = Padding.of(attention_mask)
        given = input_ids if input_ids is not None else inputs_embeds
        if given is None or (input_ids is not None and inputs_embeds is not None):
            raise ValueError("the encoder takes either token ids or embeddings")
        positions = self.placed(given.shape[1], position_ids, segment_ids)
        if positions is None:
            positions = padding.positions(given.shape[1], given.device)
        bare = self.scaled(self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds)  # [B, S, D]
        x = self.place(bare, positions)  # [B, S, D]
        seen = padding.keys() if segment_ids is None else same_segment(segment_ids, segment_ids)
        states: list[Tensor] | None = [x] if self.keep_layers or output_hidden_states else None
        weights: list[Tensor] | None = [] if output_attentions else None
        consecutive = position_ids is None and not padding.gaps
        x = through_layers(
            self, x, positions, seen, consecutive=consecutive, states=states, weights=weights
        )  # [B, S, D]
        context = self._read_context(context_input_ids, context_attention_mask, segment_ids)
        if self.context_encoder is not None:
            backend = backend_name(self.config._attn_implementation)
            x = self.context_encoder.merge(x, padding.mask, context, backend)  # [B, S, D]
            if states is not None:
                states[-1] = x
        kept = context if self.keep_context else None
        layer_states = None
        if self.keep_layers and states is not None:
            first = bare if self.bare_first_state else states[0]
            layer_states = torch.stack([first, *states[1:]], dim=1)  # [B, L, S, D]
        output = EncoderOutput(
            last_hidden_state=x,
            hidden_states=tuple(states or ()) if output_hidden_states else None,
            attentions=None if weights is None else tuple(weights),
            layer_states=layer_states,
            source_embeddings=bare if self.keep_embeddings else None,
            context_states=None if kept is None else kept.states,
            context_mask=None if kept is None else kept.mask,
            positions=positions.expand(x.shape[:2]) if self.keep_positions else None,  # [B, S]
        )
        return output if return_dict is not False else output.to_tuple()

    def _read_context(self, ids: Tensor | None, mask: Tensor | None, segments: Tensor | None) -> Context | None:
        if ids is None:
            return None
        if self.context_reader is None:
            raise ValueError("context_input_ids: this model has no context encoder (model.context_encoder)")
        if segments is not None:
            raise ValueError("packed rows have no context: context_input_ids and segment_ids exclude each other")
        return self.context_reader.read(self, self.context_stack or self, ids, mask, training=self.training)
