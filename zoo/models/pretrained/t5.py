"""Weights of T5ForConditionalGeneration (1.0, 1.1, Flan) and MT5ForConditionalGeneration."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from zoo.models.pretrained.marian import SIDES
from zoo.models.pretrained.pieces import Piece, stacked
from zoo.spec.model_section import ModelSection

UNUSED = {"decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight": "never read by T5 either"}
"""What a checkpoint may hold and this model does not read."""


def translation(section: ModelSection) -> Iterator[Piece]:
    """Every tensor in the model's own scheme."""
    yield Piece("encoder.embed_tokens.weight", ("shared.weight",))
    if section.tie_embeddings == "inputs":
        yield Piece("lm_head.weight", ("lm_head.weight",), fallback=("shared.weight",))
    for side in SIDES:
        yield Piece(
            f"{side}.position.table", (f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight",), _turned
        )
        for index in range(section.stack(side).layers):
            yield from _layer(section, side, index)
        yield Piece(f"{side}.final_norm.weight", (f"{side}.final_layer_norm.weight",))


def aliases(section: ModelSection) -> dict[str, str]:
    """Names under which a checkpoint may hold a tied matrix once more -> the name that is read."""
    found = dict.fromkeys(("encoder.embed_tokens.weight", "decoder.embed_tokens.weight"), "shared.weight")
    return {**found, "lm_head.weight": "shared.weight"} if section.tie_embeddings == "all" else found


def _layer(section: ModelSection, side: str, index: int) -> Iterator[Piece]:
    theirs, ours = f"{side}.block.{index}.layer", f"{side}.layers.{index}"
    head_dim = section.head_dim or section.d_model // section.heads

    def unscaled(query: Tensor, *others: Tensor) -> Tensor:
        # T5 does not divide logits by sqrt(Dh), which the host does: the factor goes into the queries' matrix.
        return stacked(query * head_dim**0.5, *others)

    attention = f"{theirs}.0.SelfAttention"
    qkv = tuple(f"{attention}.{part}.weight" for part in "qkv")
    yield Piece(f"{ours}.self_attention.qkv.weight", qkv, unscaled)
    yield Piece(f"{ours}.self_attention.out.weight", (f"{attention}.o.weight",))
    last = 1
    if side == "decoder":
        last, attention = 2, f"{theirs}.1.EncDecAttention"
        yield Piece(f"{ours}.cross_attention.query.weight", (f"{attention}.q.weight",), unscaled)
        yield Piece(f"{ours}.cross_attention.kv.weight", tuple(f"{attention}.{part}.weight" for part in "kv"))
        yield Piece(f"{ours}.cross_attention.out.weight", (f"{attention}.o.weight",))
    dense = f"{theirs}.{last}.DenseReluDense"
    gated = section.feedforward.name == "glu"
    projections = {"gate": "wi_0", "up": "wi_1"} if gated else {"up": "wi"}
    for mine, name in {**projections, "down": "wo"}.items():
        yield Piece(f"{ours}.feedforward.{mine}.weight", (f"{dense}.{name}.weight",))
    for place in range(last + 1):
        yield Piece(f"{ours}.block.norms.{place}.weight", (f"{theirs}.{place}.layer_norm.weight",))


def _turned(table: Tensor) -> Tensor:
    return table.t().contiguous()  # [N, H] -> [H, N]
