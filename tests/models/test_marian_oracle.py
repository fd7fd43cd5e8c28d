"""MarianMTModel is another implementation of the sinusoidal post-norm ReLU model: with its weights, its logits."""

from __future__ import annotations

import pytest
import torch
from transformers import MarianConfig, MarianMTModel

VOCABULARY, WIDTH, HIDDEN = 53, 32, 48


@pytest.fixture(scope="module")
def marian():
    config = MarianConfig(
        vocab_size=VOCABULARY,
        d_model=WIDTH,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=HIDDEN,
        decoder_ffn_dim=HIDDEN,
        activation_function="relu",
        dropout=0.0,
        attention_dropout=0.0,
        scale_embedding=True,
        max_position_embeddings=64,
        init_std=0.3,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=2,
        decoder_start_token_id=0,
        forced_eos_token_id=None,
    )
    model = MarianMTModel(config).eval()
    with torch.no_grad():
        draw = torch.Generator().manual_seed(0)
        for _, parameter in sorted(model.named_parameters()):
            if parameter.requires_grad:  # biases and gains too, which start at zero and one
                parameter.normal_(std=0.3, generator=draw)
    return model


@torch.no_grad()
def copy_weights(marian, ours) -> None:
    """Every parameter of `ours` from Marian's; fused matrices stack theirs in the order q, k, v."""

    def fuse(attention, names: str, kind: str):
        return torch.cat([getattr(getattr(attention, f"{name}_proj"), kind) for name in names])

    theirs = {"encoder": marian.model.encoder, "decoder": marian.model.decoder}
    ours.encoder.embed_tokens.weight.copy_(marian.model.shared.weight)
    for side, stack in theirs.items():
        for layer, mine in zip(stack.layers, getattr(ours, side).layers, strict=True):
            norms = [layer.self_attn_layer_norm, layer.final_layer_norm]
            for kind in ("weight", "bias"):
                getattr(mine.self_attention.qkv, kind).copy_(fuse(layer.self_attn, "qkv", kind))
                getattr(mine.self_attention.out, kind).copy_(getattr(layer.self_attn.out_proj, kind))
                getattr(mine.feedforward.up, kind).copy_(getattr(layer.fc1, kind))
                getattr(mine.feedforward.down, kind).copy_(getattr(layer.fc2, kind))
                if side == "decoder":
                    getattr(mine.cross_attention.query, kind).copy_(getattr(layer.encoder_attn.q_proj, kind))
                    getattr(mine.cross_attention.kv, kind).copy_(fuse(layer.encoder_attn, "kv", kind))
                    getattr(mine.cross_attention.out, kind).copy_(getattr(layer.encoder_attn.out_proj, kind))
            if side == "decoder":
                norms.insert(1, layer.encoder_attn_layer_norm)
            for norm, copy in zip(norms, mine.block.norms, strict=True):
                copy.load_state_dict(norm.state_dict())


@pytest.fixture
def ours(make_model, marian):
    model = make_model(position={"use": "sinusoidal", "layout": "halves"})
    copy_weights(marian, model)
    return model


@pytest.mark.parametrize("backend", ["zoo_sdpa", "zoo_eager"])
def test_logits_are_marians(marian, ours, sentences, backend):
    ours.set_attn_implementation(backend)
    with torch.no_grad():
        expected = marian(**sentences).logits
        found = ours(**sentences).logits
    assert expected.std() > 0.5
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_loss_and_gradient_of_the_embeddings_are_marians(marian, ours, sentences):
    labels = (
        sentences["decoder_input_ids"].roll(-1, dims=1).masked_fill(torch.tensor([[0, 0, 0, 0, 1]] * 2).bool(), -100)
    )
    batch = {"input_ids": sentences["input_ids"], "attention_mask": sentences["attention_mask"], "labels": labels}
    gradients = []
    for model, weight in ((marian, marian.model.shared.weight), (ours, ours.encoder.embed_tokens.weight)):
        model.zero_grad()
        loss = model(**batch).loss
        loss.backward()
        gradients.append((loss.detach(), weight.grad[1:].clone()))  # Marian's padding row gets no gradient as an input
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("beams", [1, 4])
def test_generation_is_marians(marian, ours, sentences, beams):
    source = {name: sentences[name] for name in ("input_ids", "attention_mask")}
    options = {
        "num_beams": beams,
        "max_new_tokens": 12,
        "min_new_tokens": 8,
        "do_sample": False,
        "no_repeat_ngram_size": 1,  # random weights repeat one token for ever
        "output_scores": True,
        "return_dict_in_generate": True,
    }
    expected, found = marian.generate(**source, **options), ours.generate(**source, **options)
    assert found.sequences.tolist() == expected.sequences.tolist()
    assert len(set(map(tuple, found.sequences.tolist()))) == 2  # the two sources are told apart
    if beams > 1:
        torch.testing.assert_close(found.sequences_scores, expected.sequences_scores, atol=1e-5, rtol=1e-5)


def test_a_left_padded_prompt_is_masked_and_counted_from_its_first_token(marian, ours, sentences):
    # Marian counts padding as positions; an unpadded prompt is where the two must meet.
    prompt = sentences["decoder_input_ids"][:1]
    padded = torch.cat((torch.zeros_like(prompt[:, :2]), prompt), dim=1)
    mask = torch.tensor([[0, 0, 1, 1, 1, 1, 1]])
    source = {name: sentences[name][:1] for name in ("input_ids", "attention_mask")}
    with torch.no_grad():
        expected = marian(**source, decoder_input_ids=prompt).logits
        found = ours(**source, decoder_input_ids=padded, decoder_attention_mask=mask).logits[:, 2:]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
