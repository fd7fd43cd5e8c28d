"""A plain seq2seq model of transformers as three functions of tensors: its own forward passes, whatever it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache, EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput

from zoo.export.folder import ENCODER, FIRST_STEP, MASK, NEXT_STEP, SIDES, STATES, cache_names
from zoo.models._compat import CACHE, cached_keys_and_values
from zoo_export.graphs import (
    BATCH,
    FREE,
    ROWS,
    SOURCE,
    Graph,
    GraphModule,
    KeysAndValues,
    both_sides,
    interleaved,
)


def refuse(model: Any) -> None:
    """What cannot be exported is not loaded (`zoo.export.plain`)."""


class PlainEncoderGraph(GraphModule):
    """Source ids and mask ``[B, S]`` -> states ``[B, S, D]``."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        encoder = self.model.model.get_encoder()
        states: Tensor = encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return states


class PlainFirstStepGraph(GraphModule):
    """The start token ``[B, 1]`` and the memory -> logits ``[B, 1, V]`` and both caches."""

    def forward(
        self, input_ids: Tensor, encoder_hidden_states: Tensor, encoder_attention_mask: Tensor
    ) -> tuple[Tensor, ...]:
        caches = _caches((), ())
        logits = _logits(self.model.model, input_ids, encoder_hidden_states, encoder_attention_mask, caches)
        return logits, *_flat(caches)


class PlainNextStepGraph(GraphModule):
    """The newest token ``[B, 1]`` and both caches -> logits ``[B, 1, V]`` and the decoder's cache, one longer."""

    def forward(self, input_ids: Tensor, encoder_attention_mask: Tensor, *past: Tensor) -> tuple[Tensor, ...]:
        caches = _caches(*both_sides(past))
        # Not looked at, as the cache holds what is made of it; but without one, the model would read a source.
        states = torch.zeros(*encoder_attention_mask.shape, self.model.section.d_model)  # [B, S, D]
        logits = _logits(self.model.model, input_ids, states, encoder_attention_mask, caches)
        return logits, *_flat(caches, SIDES[:1])


def _logits(model: Any, ids: Tensor, states: Tensor, mask: Tensor, caches: Any) -> Tensor:
    """Of new tokens ``[B, 1]``: ``[B, 1, V]``."""
    given = BaseModelOutput(last_hidden_state=states)
    output = model(encoder_outputs=given, attention_mask=mask, decoder_input_ids=ids, use_cache=True, **{CACHE: caches})
    logits: Tensor = output.logits
    return logits


def _caches(own: Sequence[KeysAndValues], memory: Sequence[KeysAndValues]) -> Any:
    """transformers' own, as its models ask for the class."""
    sides = []
    for held in (own, memory):
        side = DynamicCache()
        for layer, (keys, values) in enumerate(held):
            side.update(keys, values, layer)
        sides.append(side)
    caches = EncoderDecoderCache(*sides)
    caches.is_updated = dict.fromkeys(range(len(memory)), True) or caches.is_updated
    return caches


def _flat(caches: Any, sides: tuple[str, ...] = SIDES) -> list[Tensor]:
    """In the order of `cache_names`."""
    held = {"decoder": caches.self_attention_cache, "encoder": caches.cross_attention_cache}
    layers = range(len(caches.self_attention_cache.layers))
    return [tensor for layer in layers for side in sides for tensor in cached_keys_and_values(held[side], layer)]


def graphs(model: Any) -> list[Graph]:
    """Of a `zoo.export.plain.PlainModel` in evaluation mode, without gradients."""
    layers = model.section.decoder_layers
    ids = torch.arange(BATCH * SOURCE).view(BATCH, SOURCE) % model.config.vocab_size  # [B, S]
    mask = torch.ones_like(ids)
    start = torch.full((BATCH, 1), model.config.decoder_start_token_id)
    encoder, first_step, next_step = PlainEncoderGraph(model), PlainFirstStepGraph(model), PlainNextStepGraph(model)
    states = encoder(ids, mask)
    first = first_step(start, states, mask)
    # Two tokens are held, so that their number is no constant.
    second = next_step(start, mask, *first[1:])
    past = dict(zip(cache_names("past_key_values", layers), interleaved(second[1:], first[1:]), strict=True))
    return [
        Graph(ENCODER, encoder, {"input_ids": ids, "attention_mask": mask}, ["last_hidden_state"], (ROWS, ROWS)),
        Graph(
            FIRST_STEP,
            first_step,
            {"input_ids": start, STATES: states, MASK: mask},
            ["logits", *cache_names("present", layers)],
            ({0: FREE}, ROWS, ROWS),
        ),
        Graph(
            NEXT_STEP,
            next_step,
            {"input_ids": start, MASK: mask, **past},
            ["logits", *cache_names("present", layers, SIDES[:1])],
            ({0: FREE}, ROWS, tuple({0: FREE, 2: FREE} for _ in past)),
        ),
    ]
