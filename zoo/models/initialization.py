"""Which weight matrices a layer has, and handing them to the chosen initialisation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from torch import nn

from zoo.models.attention import CrossAttention, SelfAttention
from zoo.models.contracts import Feedforward, Initialization, InitializationContext, Matrix
from zoo.models.seeding import own_randomness


def matrices_of(layer: nn.Module) -> Iterator[Matrix]:
    """Every attention and feed-forward matrix of an encoder or decoder layer, fused ones in their parts."""
    for name, part in layer.named_children():
        if isinstance(part, SelfAttention):
            yield from _attention(name, "self", part)
        elif isinstance(part, CrossAttention):
            yield from _attention(name, "cross", part)
        elif isinstance(part, Feedforward):
            for inner, weight in part.matrices().items():
                yield Matrix(f"{name}.{inner}", "feedforward", None, weight.detach())


def _attention(name: str, which: Literal["self", "cross"], part: SelfAttention | CrossAttention) -> Iterator[Matrix]:
    if isinstance(part, SelfAttention):
        query, key, value = part.qkv.weight.detach().chunk(3)  # [D, D] each
    else:
        query = part.query.weight.detach()
        key, value = part.kv.weight.detach().chunk(2)  # [D, D] each
    yield Matrix(f"{name}.query", "query", which, query)
    yield Matrix(f"{name}.key", "key", which, key)
    yield Matrix(f"{name}.value", "value", which, value)
    yield Matrix(f"{name}.out", "attention-output", which, part.out.weight.detach())


def initialise_layer(
    layer: nn.Module, initialization: Initialization, context: InitializationContext, seed: int
) -> None:
    """Have `initialization` set every matrix of `layer`, each drawn from a generator of its own."""
    for matrix in matrices_of(layer):
        with own_randomness(seed, f"{context.side}.layers.{context.layer}.{matrix.name}"):
            initialization.initialize(matrix, context)
