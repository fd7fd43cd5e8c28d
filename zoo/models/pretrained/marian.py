"""Weights of MarianMTModel (OPUS-MT), and what BART's and mBART's have in common with them."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from zoo.models.contracts import Side
from zoo.models.pretrained.pieces import Piece, linear
from zoo.spec.model_section import ModelSection

SIDES: tuple[Side, ...] = ("encoder", "decoder")
_SINES = "a table of sines, computed here"
UNUSED = {"encoder.embed_positions.weight": _SINES, "decoder.embed_positions.weight": _SINES}
"""What a checkpoint may hold and this model does not read."""


def translation(section: ModelSection) -> Iterator[Piece]:
    """Every tensor of a Marian model in its own scheme. Names as in MarianModel, without the prefix ``model.``."""
    yield from embeddings(section)
    yield from layers(section)


def embeddings(section: ModelSection) -> Iterator[Piece]:
    """Embedding and output matrices ``[V, D]``, and the bias on the logits ``[1, V]`` -> ``[V]``."""
    shared = ("shared.weight",)
    if section.tie_embeddings in {"all", "inputs"}:
        yield Piece("encoder.embed_tokens.weight", shared)
    else:
        yield Piece("encoder.embed_tokens.weight", ("encoder.embed_tokens.weight",))
        yield Piece("decoder.embed_tokens.weight", ("decoder.embed_tokens.weight",))
    if section.tie_embeddings in {"inputs", "none"}:
        yield Piece("lm_head.weight", ("lm_head.weight",))
    yield Piece("output_bias", ("final_logits_bias",), _flat, optional=True)


def aliases(section: ModelSection) -> dict[str, str]:
    """Names under which a checkpoint may hold a tied matrix once more -> the name that is read."""
    shared = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
    if section.tie_embeddings == "decoder":
        return {"lm_head.weight": "decoder.embed_tokens.weight"}
    found = dict.fromkeys(shared, "shared.weight") if section.tie_embeddings in {"all", "inputs"} else {}
    return {**found, "lm_head.weight": "shared.weight"} if section.tie_embeddings == "all" else found


def layers(section: ModelSection) -> Iterator[Piece]:
    """Attention, feed-forward and normalisations of every layer."""
    for side in SIDES:
        for index in range(section.stack(side).layers):
            yield from _layer(f"{side}.layers.{index}", decoder=side == "decoder")


def _layer(name: str, *, decoder: bool) -> Iterator[Piece]:
    yield from _projections(f"{name}.self_attention", f"{name}.self_attn", {"qkv": "qkv"})
    norms = ["self_attn_layer_norm", "final_layer_norm"]
    if decoder:
        yield from _projections(f"{name}.cross_attention", f"{name}.encoder_attn", {"query": "q", "kv": "kv"})
        norms.insert(1, "encoder_attn_layer_norm")
    yield from linear(f"{name}.feedforward.up", (f"{name}.fc1",), bias=True)
    yield from linear(f"{name}.feedforward.down", (f"{name}.fc2",), bias=True)
    for place, norm in enumerate(norms):
        yield from linear(f"{name}.block.norms.{place}", (f"{name}.{norm}",), bias=True)


def _projections(ours: str, theirs: str, fused: dict[str, str]) -> Iterator[Piece]:
    """An attention's: `fused` maps zoo's names to the letters of what stands in them."""
    for target, letters in fused.items():
        yield from linear(f"{ours}.{target}", tuple(f"{theirs}.{letter}_proj" for letter in letters), bias=True)
    yield from linear(f"{ours}.out", (f"{theirs}.out_proj",), bias=True)


def _flat(bias: Tensor) -> Tensor:
    return bias.reshape(-1)  # [V]
