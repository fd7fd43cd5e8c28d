"""The encoder stack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutput

from zoo.models.attention import view_of_pass
from zoo.models.backends import backend_name
from zoo.models.configuration import ZooConfig
from zoo.models.layers import EncoderLayer
from zoo.models.stack import Stack
from zoo.models.visibility import Padding, same_segment
from zoo.spec.sections import ModelSection


@dataclass
class EncoderOutput(BaseModelOutput):  # type: ignore[misc]
    """What the encoder gives the decoder.

    `layer_states` ``[B, layers + 1, S, D]`` holds every layer's output, embeddings first, the last one normalised as
    in `last_hidden_state`; None where the fusion needs the top layer only. It is one batch-first tensor because beam
    search repeats each tensor of this object for the beams, and nothing nested in it. `positions` ``[B, S]`` are those
    of the tokens, where cross-attention asks for them.
    """

    last_hidden_state: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    layer_states: Tensor | None = None
    positions: Tensor | None = None


class Encoder(Stack):
    """Reads the source; every token sees every real token."""

    side = "encoder"
    main_input_name = "input_ids"

    def __init__(self, config: ZooConfig, section: ModelSection, *, keep_layers: bool, seed: int) -> None:
        super().__init__(config, section, EncoderLayer, seed)
        self.keep_layers = keep_layers
        self.keep_positions = section.decoder.cross_position is not None

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
    ) -> EncoderOutput | tuple[Any, ...]:
        """Token ids ``[B, S]`` or vectors ``[B, S, D]``; mask ``[B, S]`` (nonzero = real); positions ``[B or 1, S]``.

        Without `position_ids` each sentence counts its real tokens from zero. `segment_ids` ``[B, S]`` number the
        sentences of packed rows from 1, with 0 for padding: each sees and counts its own tokens only.
        """
        if segment_ids is not None and attention_mask is not None:
            raise ValueError("segment_ids and attention_mask: packed rows need no mask, padding is segment 0")
        padding = Padding.of(attention_mask)
        given = input_ids if input_ids is not None else inputs_embeds
        if given is None:
            raise ValueError("the encoder takes either token ids or embeddings")
        positions = self.placed(given.shape[1], position_ids, segment_ids)
        if positions is None:
            positions = padding.positions(given.shape[1], given.device)
        x = self.embed(input_ids, inputs_embeds, positions)  # [B, S, D]
        schemes = self.schemes()
        view = view_of_pass(
            x,
            schemes,
            q_positions=positions,
            k_positions=positions,
            mask=padding.keys() if segment_ids is None else same_segment(segment_ids, segment_ids),
            causal=False,
            backend=backend_name(self.config._attn_implementation),
            share=not self.checkpointing,
            consecutive=position_ids is None and not padding.gaps,
        )
        states: list[Tensor] | None = [x] if self.keep_layers or output_hidden_states else None
        weights: list[Tensor] | None = [] if output_attentions else None
        for layer, scheme in zip(self.layers, schemes, strict=True):
            x = layer(x, view=view, position=scheme, weights=weights)  # [B, S, D]
            if states is not None:
                states.append(x)
        x = self.final_norm(x)
        if states is not None:
            states[-1] = x
        output = EncoderOutput(
            last_hidden_state=x,
            hidden_states=tuple(states or ()) if output_hidden_states else None,
            attentions=None if weights is None else tuple(weights),
            layer_states=torch.stack(states, dim=1) if self.keep_layers and states else None,  # [B, L, S, D]
            positions=positions.expand(x.shape[:2]) if self.keep_positions else None,  # [B, S]
        )
        return output if return_dict is not False else output.to_tuple()
