"""Counts of parameters and operations: against torch's counter, and against formulas written out by hand."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from zoo.models import count_parameters
from zoo.models.flops import forward_flops, parameter_counts, part_of

D, V, S, T, FF, LAYERS = 32, 53, 7, 5, 48, 2
LM = {"encoder": None, "fusion": None}


def of_torch(model, run) -> int:
    model.set_attn_implementation("zoo_eager")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


@pytest.mark.parametrize("block", ["pre-norm", "post-norm"])
def test_an_encoder_decoder_costs_what_torch_counts_and_the_formula_says(make_model, block):
    model = make_model("zoo-positional/rotary", block=block)
    found = forward_flops(model, S, T)
    source, target = torch.full((1, S), 9), torch.full((1, T), 9)
    assert found.total == of_torch(model, lambda: model(source, decoder_input_ids=target, use_cache=False))
    assert found.parts == {
        "encoder.self_attention": LAYERS * (8 * S * D * D + 4 * S * S * D),
        "encoder.feedforward": LAYERS * 4 * S * D * FF,
        "decoder.self_attention": LAYERS * (8 * T * D * D + 4 * T * T * D),
        "decoder.cross_attention": LAYERS * (4 * (T + S) * D * D + 4 * S * T * D),
        "decoder.feedforward": LAYERS * 4 * T * D * FF,
        "lm_head": 2 * T * D * V,
    }
    assert sum(found.parts.values()) == found.total
    assert found.training == 3 * found.total
    assert found.per_token == found.total / (S + T)


@pytest.mark.parametrize("architecture", ["causal-lm", "prefix-lm"])
def test_a_language_model_costs_what_torch_counts_and_the_formula_says(make_model, architecture):
    gated = {"use": "swiglu", "width": FF}
    model = make_model("zoo-positional/alibi", architecture=architecture, feedforward=gated, **LM)
    length = S + T - 1
    found = forward_flops(model, S, T)
    ids = torch.full((1, length), 9)
    assert found.total == of_torch(model, lambda: model(ids, logits_to_keep=T, use_cache=False))
    assert found.parts == {
        "decoder.self_attention": LAYERS * (8 * length * D * D + 4 * length * length * D),
        "decoder.feedforward": LAYERS * 6 * length * D * FF,
        "lm_head": 2 * T * D * V,
    }
    if architecture == "causal-lm":
        learning_sources = forward_flops(model, S, T, source_loss=True)
        assert learning_sources.parts == {**found.parts, "lm_head": 2 * length * D * V}


def test_a_scheme_and_a_fusion_that_multiply_are_counted_where_they_do(make_model):
    model = make_model("zoo-private/shaw-both-sides", fusion="zoo-private/weighted-layers")
    found = forward_flops(model, S, T)
    plain = forward_flops(make_model(), S, T)
    source, target = torch.full((1, S), 9), torch.full((1, T), 9)
    assert found.total == of_torch(model, lambda: model(source, decoder_input_ids=target, use_cache=False))
    assert sum(found.parts.values()) == found.total
    assert found.parts["encoder.self_attention"] > plain.parts["encoder.self_attention"]
    assert found.parts["encoder.feedforward"] == plain.parts["encoder.feedforward"]


def test_counting_leaves_the_model_as_it_was(make_model):
    model = make_model(attention="sdpa", dropout=0.5).train()
    forward_flops(model, S, T)
    assert model.training
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    model(torch.full((1, S), 9), decoder_input_ids=torch.full((1, T), 9))
    assert model.attention_backend == "sdpa"
    with pytest.raises(ValueError, match="at least one token"):
        forward_flops(model, 0, 5)


@pytest.mark.parametrize("tie", ["all", "decoder", "none"])
def test_parameters_are_counted_once_and_by_part(make_model, tie):
    model = make_model("zoo-positional/learned", tie_embeddings=tie)
    found = parameter_counts(model)
    assert found.total == count_parameters(model) == sum(found.parts.values())
    assert found.embedding == {"all": 1, "decoder": 2, "none": 3}[tie] * V * D
    assert found.non_embedding == found.total - found.embedding
    assert found.parts["encoder.position"] == 64 * D
    assert found.parts["decoder.cross_attention"] == LAYERS * (4 * D * D + 4 * D)
    assert found.parts["encoder.feedforward"] == LAYERS * (2 * D * FF + D + FF)


def test_parts_gather_all_layers():
    assert part_of("decoder.layers.11.self_attention.qkv") == "decoder.self_attention"
    assert part_of("lm_head") == "lm_head"
    assert part_of("") == "model"
