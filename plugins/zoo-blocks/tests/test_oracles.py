"""Whole stacks against torch (pre- and post-norm) and x-transformers (sandwich, DeepNorm, GLU)."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from x_transformers import Decoder, Encoder
from zoo_blocks.depth import deep_norm_alpha

from zoo.models import ZooForConditionalGeneration, assemble
from zoo.models.contracts import LayerContext
from zoo.spec import resolve_model

WIDTH, HEADS, HIDDEN, ENCODER, DECODER = 24, 6, 32, 3, 2


def _model(block: str, **changes: Any) -> ZooForConditionalGeneration:
    section = {
        "d_model": WIDTH,
        "heads": HEADS,
        "encoder": {"layers": ENCODER},
        "decoder": {"layers": DECODER},
        "position": "zoo-positional/none",
        "block": f"zoo-blocks/{block}",
        "normalization": "zoo-blocks/layer-norm",
        "feedforward": {"use": "zoo-blocks/mlp", "width": HIDDEN},
        "fusion": "zoo-fusion/top",
        "scale_embeddings": False,
        "max_positions": 16,
        **changes,
    }
    model = assemble(resolve_model(section), 20, seed=5).eval()
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for _, weight in sorted(model.named_parameters()):  # gains and biases too, which start at one and zero
            weight.add_(torch.randn(weight.shape, generator=draw), alpha=0.2)
    return model


@torch.no_grad()
def _ours(model: ZooForConditionalGeneration, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    encoded = model.encoder(inputs_embeds=source).last_hidden_state
    return encoded, model.decoder(inputs_embeds=target, encoder_states=encoded[:, None]).last_hidden_state


def _vectors() -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(1)
    return torch.randn(2, 6, WIDTH, generator=draw), torch.randn(2, 5, WIDTH, generator=draw)


def _copy(target: nn.Module, source: nn.Module) -> None:
    """Weights, and biases where the target has any."""
    target.weight.copy_(source.weight)
    if target.bias is not None:
        target.bias.copy_(source.bias)


@torch.no_grad()
def _torchs(model: ZooForConditionalGeneration, first: bool) -> tuple[nn.Module, nn.Module]:
    """torch's encoder and decoder with our weights."""
    shape: dict[str, Any] = {"dim_feedforward": HIDDEN, "dropout": 0.0, "norm_first": first, "batch_first": True}
    last = [nn.LayerNorm(WIDTH) if first else None for _ in range(2)]
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(WIDTH, HEADS, **shape), ENCODER, last[0])
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(WIDTH, HEADS, **shape), DECODER, last[1])
    for theirs, ours in ((encoder, model.encoder), (decoder, model.decoder)):
        for layer, mine in zip(theirs.layers, ours.layers, strict=True):
            layer.self_attn.in_proj_weight.copy_(mine.self_attention.qkv.weight)
            layer.self_attn.in_proj_bias.copy_(mine.self_attention.qkv.bias)
            _copy(layer.self_attn.out_proj, mine.self_attention.out)
            if theirs is decoder:
                cross = mine.cross_attention
                layer.multihead_attn.in_proj_weight.copy_(torch.cat((cross.query.weight, cross.kv.weight)))
                layer.multihead_attn.in_proj_bias.copy_(torch.cat((cross.query.bias, cross.kv.bias)))
                _copy(layer.multihead_attn.out_proj, cross.out)
            _copy(layer.linear1, mine.feedforward.up)
            _copy(layer.linear2, mine.feedforward.down)
            for index, norm in enumerate(mine.block.norms, start=1):
                _copy(getattr(layer, f"norm{index}"), norm)
        if first:
            _copy(theirs.norm, ours.final_norm)
    return encoder.eval(), decoder.eval()


@pytest.mark.parametrize("block", ["pre-norm", "post-norm"])
@torch.no_grad()
def test_stacks_are_torchs(block: str) -> None:
    model, (source, target) = _model(block), _vectors()
    encoder, decoder = _torchs(model, first=block == "pre-norm")
    encoded, decoded = _ours(model, source, target)
    expected = encoder(source)
    torch.testing.assert_close(encoded, expected, rtol=1e-5, atol=1e-5)
    causal = nn.Transformer.generate_square_subsequent_mask(target.shape[1])
    torch.testing.assert_close(decoded, decoder(target, expected, tgt_mask=causal), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def _fill(theirs: nn.Module, ours: nn.Module) -> None:
    """x-transformers' flat list of sublayers from our layers; its attention and normalisations have no biases."""
    cross = any(hasattr(layer, "cross_attention") for layer in ours.layers)
    count = 3 if cross else 2
    for index, (norms, sublayer, _) in enumerate(theirs.layers):
        mine, place = ours.layers[index // count], index % count
        own = [mine.block.norms[place]]
        if hasattr(mine.block, "branch_norms"):
            own.append(mine.block.branch_norms[place])
        for norm, copied in zip([norm for norm in norms if norm is not None], own, strict=True):
            norm.gamma.copy_(copied.weight - float(norm.unit_offset))
        if place == count - 1:
            up = mine.feedforward.up
            if hasattr(mine.feedforward, "gate"):
                projection = sublayer.ff[0].proj
                projection.weight.copy_(torch.cat((up.weight, mine.feedforward.gate.weight)))
                projection.bias.copy_(torch.cat((up.bias, mine.feedforward.gate.bias)))
            else:
                _copy(sublayer.ff[0][0], up)
            _copy(sublayer.ff[-1], mine.feedforward.down)
            continue
        attention = mine.self_attention if place == 0 else mine.cross_attention
        parts = attention.qkv.weight.chunk(3) if place == 0 else (attention.query.weight, *attention.kv.weight.chunk(2))
        for name, weight in zip(("to_q", "to_k", "to_v"), parts, strict=True):
            getattr(sublayer, name).weight.copy_(weight)
        sublayer.to_out.weight.copy_(attention.out.weight)
    if not isinstance(ours.final_norm, nn.Identity):
        theirs.final_norm.gamma.copy_(ours.final_norm.weight - float(theirs.final_norm.unit_offset))


PLAIN: dict[str, Any] = {"bias": False, "normalization": {"use": "zoo-blocks/layer-norm", "bias": False}}
GATED = {"feedforward": {"use": "zoo-blocks/glu", "width": HIDDEN, "activation": "silu", "bias": True}}
UNGATED = {"feedforward": {"use": "zoo-blocks/mlp", "width": HIDDEN, "activation": "gelu"}}


@pytest.mark.parametrize("gated", [True, False], ids=["glu", "mlp"])
@pytest.mark.parametrize("block", ["sandwich", "deep-norm"])
@torch.no_grad()
def test_stacks_are_those_of_x_transformers(block: str, gated: bool) -> None:
    model, (source, target) = _model(block, **PLAIN, **(GATED if gated else UNGATED)), _vectors()
    stacks = []
    for side, make, depth in (("encoder", Encoder, ENCODER), ("decoder", Decoder, DECODER)):
        context = LayerContext(side, 0, ENCODER, DECODER)
        style = (
            {"pre_norm": True, "sandwich_norm": True}
            if block == "sandwich"
            else {"pre_norm": False, "scale_residual_constant": deep_norm_alpha(context)}
        )
        stack = make(
            dim=WIDTH,
            depth=depth,
            heads=HEADS,
            attn_dim_head=WIDTH // HEADS,
            cross_attend=side == "decoder",
            ff_mult=HIDDEN / WIDTH,
            ff_glu=gated,
            ff_swish=gated,
            **style,
        ).eval()
        _fill(stack, getattr(model, side))
        stacks.append(stack)
    encoded, decoded = _ours(model, source, target)
    expected = stacks[0](source)
    torch.testing.assert_close(encoded, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(decoded, stacks[1](target, context=expected), rtol=1e-4, atol=1e-5)
