"""What a graph of an export is before it is written, and the cache that it can hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from zoo.export.folder import SIDES

KeysAndValues = tuple[Tensor, Tensor]
BATCH, SOURCE = 3, 5
"""Sizes of the example that is traced: each another, and none 1, so that no size is taken for a constant."""
FREE: Any = torch.export.Dim.AUTO
ROWS: Any = {0: FREE, 1: FREE}
"""Of a tensor ``[B, L, ...]``: batch and length are free."""


@dataclass(frozen=True)
class Graph:
    """One file: a function of tensors, what it is traced with, and the names of what goes in and comes out."""

    file: str
    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: list[str]
    free: tuple[Any, ...]
    """The free dimensions of each input; those of a function's ``*tensors`` as one tuple."""


class GraphModule(nn.Module):
    """A function of tensors over a whole model."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model


class FlatCache:
    """One side of a cache as plain tensors ``[B, H, L, Dh]``: transformers' own holds state that no graph can have."""

    def __init__(self, held: Sequence[KeysAndValues] = ()) -> None:
        self.layers: list[Any] = [SimpleNamespace(keys=keys, values=values) for keys, values in held]
        """As `transformers.Cache` has them."""

    def __getitem__(self, layer: int) -> KeysAndValues:
        return self.layers[layer].keys, self.layers[layer].values

    def get_seq_length(self, layer: int = 0) -> int:
        """Tokens held."""
        return self.layers[layer].keys.shape[-2] if self.layers else 0

    def update(self, keys: Tensor, values: Tensor, layer: int, *args: Any) -> KeysAndValues:
        """Add keys and values ``[B, H, T, Dh]`` of a layer; returns all that it has now."""
        while len(self.layers) <= layer:
            self.layers.append(SimpleNamespace(keys=None, values=None))
        held = self.layers[layer]
        if held.keys is None:
            held.keys, held.values = keys, values
        else:
            held.keys, held.values = torch.cat((held.keys, keys), dim=-2), torch.cat((held.values, values), dim=-2)
        return self[layer]

    def flat(self) -> tuple[Tensor, ...]:
        """Keys and values of one layer after another."""
        return tuple(tensor for layer in range(len(self.layers)) for tensor in self[layer])


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
        held = {"decoder": self.self_attention_cache, "encoder": self.cross_attention_cache}
        layers = range(len(self.self_attention_cache.layers))
        return tuple(tensor for layer in layers for side in sides for tensor in held[side][layer])


def in_pairs(flat: Sequence[Tensor]) -> list[KeysAndValues]:
    """Keys and values of one layer after another, from tensors in a row."""
    return [(flat[place], flat[place + 1]) for place in range(0, len(flat), 2)]


def both_sides(flat: Sequence[Tensor]) -> tuple[list[KeysAndValues], list[KeysAndValues]]:
    """The decoder's keys and values and those of its memory, from tensors in the order of `cache_names`."""
    pairs = in_pairs(flat)
    return pairs[0::2], pairs[1::2]


def interleaved(own: Sequence[Tensor], both: Sequence[Tensor]) -> list[Tensor]:
    """Two tensors a layer of `own`, then the two of the memory that `both` has behind its own."""
    layers = range(len(own) // 2)
    return [
        tensor for layer in layers for tensor in (*own[2 * layer : 2 * layer + 2], *both[4 * layer + 2 : 4 * layer + 4])
    ]
