"""transformers' GPT-2 with our weights gives our logits."""

from __future__ import annotations

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LogitsProcessorList, NoRepeatNGramLogitsProcessor

WIDTH, HEADS, LAYERS, VOCABULARY, POSITIONS = 32, 4, 2, 53, 64


@pytest.fixture
def gpt2() -> GPT2LMHeadModel:
    torch.manual_seed(5)
    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=POSITIONS,
        n_embd=WIDTH,
        n_layer=LAYERS,
        n_head=HEADS,
        n_inner=48,
        activation_function="gelu",
        bos_token_id=2,
        eos_token_id=1,
        initializer_range=0.3,
    )
    model = GPT2LMHeadModel(config).eval()
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1:  # norms and biases that are not one and zero
            torch.nn.init.normal_(parameter, mean=float("ln" in name and "weight" in name), std=0.2)
    return model


@pytest.fixture
def ours(make_model, gpt2):
    model = make_model(
        "zoo-positional/learned",
        architecture="causal-lm",
        encoder=None,
        fusion=None,
        block="pre-norm",
        scale_embeddings=False,
        feedforward={"use": "mlp", "width": 48, "activation": "gelu"},
        max_positions=POSITIONS,
    )
    theirs = dict(gpt2.transformer.named_parameters())
    names = {
        "decoder.embed_tokens": "wte",
        "decoder.final_norm": "ln_f",
        **{
            f"decoder.layers.{n}.{mine}": f"h.{n}.{other}"
            for n in range(LAYERS)
            for mine, other in {
                "block.norms.0": "ln_1",
                "block.norms.1": "ln_2",
                "self_attention.qkv": "attn.c_attn",
                "self_attention.out": "attn.c_proj",
                "feedforward.up": "mlp.c_fc",
                "feedforward.down": "mlp.c_proj",
            }.items()
        },
    }
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            module, _, leaf = name.rpartition(".")
            if "position" in module:
                parameter.copy_(theirs["wpe.weight"])
                continue
            source = theirs[f"{names[module]}.{leaf}"]
            parameter.copy_(source.T if ".c_" in f".{names[module]}" and leaf == "weight" else source)
    return model


def test_logits_and_loss_are_gpt2s(gpt2, ours):
    ids = torch.randint(3, VOCABULARY, (3, 11), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[1, :4] = 0  # padding on the left
    places = (mask.cumsum(-1) - 1).clamp_min(0)
    labels = ids.masked_fill(mask == 0, -100)
    labels[1, 4] = -100  # what padding makes of its successor is nobody's business
    with torch.no_grad():
        expected = gpt2(ids, attention_mask=mask, position_ids=places, labels=labels)
        found = ours(ids, mask, labels=labels)
    torch.testing.assert_close(found.logits[mask.bool()], expected.logits[mask.bool()], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.loss, expected.loss)


@pytest.mark.parametrize("beams", [1, 3])
def test_generation_is_gpt2s(gpt2, ours, beams):
    ids = torch.tensor([[7, 8, 9, 2], [0, 0, 11, 2]])
    options = {"max_new_tokens": 8, "num_beams": beams, "do_sample": False}
    # Random weights repeat one token for ever. As an option it would have ours look at the output alone.
    options["logits_processor"] = LogitsProcessorList([NoRepeatNGramLogitsProcessor(1)])
    options |= {"pad_token_id": 0, "eos_token_id": 1, "attention_mask": (ids != 0).long()}
    assert ours.generate(ids, **options).tolist() == gpt2.generate(ids, **options).tolist()
