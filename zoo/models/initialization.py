"""Which weight matrices a layer has, and handing them to the chosen initialisation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from torch import nn

from zoo.models.attention import CrossAttention, SelfAttention
from zoo.models.contracts import Feedforward, Initialization, InitializationContext, Matrix, Side
from zoo.models.seeding import own_randomness
from zoo.spec.model_section import ModelSection


def matrices_of(module: nn.Module, above: str = "") -> Iterator[Matrix]:
    """Every attention and feed-forward matrix of a layer or a context encoder, fused ones in their parts.

    Names are dotted paths, behind `above`.
    """
    for child, part in module.named_children():
        name = above + child
        if isinstance(part, SelfAttention):
            yield from _attention(name, "self", part)
        elif isinstance(part, CrossAttention):
            yield from _attention(name, "cross", part)
        elif isinstance(part, Feedforward):
            for inner, weight in part.matrices().items():
                yield Matrix(f"{name}.{inner}", "feedforward", None, weight.detach())
        else:
            yield from matrices_of(part, f"{name}.")


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


def initialise(
    module: nn.Module,
    initialization: Initialization,
    section: ModelSection,
    side: Side,
    layer: int,
    *,
    seed: int,
    place: str,
) -> None:
    """Have `initialization` set every matrix of `module`, which is layer `layer` of a stack or counts as that.

    Each is drawn from a generator of its own, seeded by its name behind `place`.
    """
    context = InitializationContext(
        side=side,
        layer=layer,
        encoder_layers=section.encoder_layers,
        decoder_layers=section.decoder_layers,
        d_model=section.d_model,
    )
    for matrix in matrices_of(module):
        with own_randomness(seed, f"{place}.{matrix.name}"):
            initialization.initialize(matrix, context)
