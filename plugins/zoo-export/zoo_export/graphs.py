"""An encoder-decoder as three functions of tensors: what the graphs of an export compute."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from zoo.export.folder import SIDES

KeysAndValues = tuple[Tensor, Tensor]


class FlatCache:
    """One side of a cache as plain tensors ``[B, H, L, Dh]``: transformers' own holds state that no graph can have."""

    def __init__(self, held: Sequence[KeysAndValues] = ()) -> None:
        self.held = list(held)

    @property
    def layers(self) -> list[Any]:
        """As `transformers.Cache` has them."""
        return [SimpleNamespace(keys=keys, values=values) for keys, values in self.held]

    def get_seq_length(self, layer: int = 0) -> int:
        """Tokens held."""
        return self.held[layer][0].shape[-2] if self.held else 0

    def update(self, keys: Tensor, values: Tensor, layer: int, *args: Any) -> KeysAndValues:
        """Add keys and values ``[B, H, T, Dh]`` of a layer; returns all that it has now."""
        if layer < len(self.held):
            old_keys, old_values = self.held[layer]
            self.held[layer] = torch.cat((old_keys, keys), dim=-2), torch.cat((old_values, values), dim=-2)
        else:
            self.held.append((keys, values))
        return self.held[layer]


class FlatCaches:
    """The cache of a decoder and of its memory, as `transformers.EncoderDecoderCache` is used."""

    def __init__(self, own: Sequence[KeysAndValues] = (), memory: Sequence[KeysAndValues] = ()) -> None:
        self.self_attention_cache, self.cross_attention_cache = FlatCache(own), FlatCache(memory)
        self.is_updated = dict.fromkeys(range(len(memory)), True)

    def get_seq_length(self, layer: int = 0) -> int:
        """Target tokens held."""
        return self.self_attention_cache.get_seq_length(layer)

    def flat(self, sides: tuple[str, ...] = SIDES) -> tuple[Tensor, ...]:
        """In the order of `zoo.export.folder.cache_names`."""
        held = {"decoder": self.self_attention_cache.held, "encoder": self.cross_attention_cache.held}
        layers = range(len(self.self_attention_cache.held))
        return tuple(tensor for layer in layers for side in sides for tensor in held[side][layer])

    @classmethod
    def of(cls, flat: Sequence[Tensor]) -> FlatCaches:
        """The inverse of `flat` of both sides."""
        rows = [flat[start : start + 4] for start in range(0, len(flat), 4)]
        return cls([(row[0], row[1]) for row in rows], [(row[2], row[3]) for row in rows])


class _Graph(nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model


class EncoderGraph(_Graph):
    """Source ids and mask ``[B, S]`` -> what the decoder reads: ``[B, S, D]``, or ``[B, L, S, D]`` of every layer."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        encoded = self.model.encoder(input_ids, attention_mask)
        states: Tensor = self.model.states_for_fusion(encoded)  # [B, L or 1, S, D]
        return states if self.model.encoder.keep_layers else states[:, 0]


class FirstStepGraph(_Graph):
    """The start token ``[B, 1]`` and the memory -> logits ``[B, 1, V]`` and both caches."""

    def forward(
        self, input_ids: Tensor, encoder_hidden_states: Tensor, encoder_attention_mask: Tensor
    ) -> tuple[Tensor, ...]:
        states = encoder_hidden_states if self.model.encoder.keep_layers else encoder_hidden_states[:, None]
        caches = FlatCaches()
        decoded = self.model.decoder(input_ids, None, states, encoder_attention_mask, caches)
        return self.model._logits(decoded.last_hidden_state), *caches.flat()


class NextStepGraph(_Graph):
    """The newest token ``[B, 1]`` and both caches -> logits ``[B, 1, V]`` and the decoder's cache, one longer."""

    def forward(self, input_ids: Tensor, encoder_attention_mask: Tensor, *past: Tensor) -> tuple[Tensor, ...]:
        caches = FlatCaches.of(past)
        decoded = self.model.decoder(input_ids, None, None, encoder_attention_mask, caches)
        return self.model._logits(decoded.last_hidden_state), *caches.flat(("decoder",))
