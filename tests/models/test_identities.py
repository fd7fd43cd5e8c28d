"""What must hold for every position scheme: how a batch is laid out never shows in the logits."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

TOLERANCE = {"atol": 2e-5, "rtol": 1e-4}


@torch.no_grad()
def _logits(model, **inputs) -> Tensor:
    return model(**inputs, use_cache=False).logits


@torch.no_grad()
def _stepwise(model, source, mask, target, **decoder) -> Tensor:
    """Logits of one target token after the other, with a cache."""
    encoded = model.get_encoder()(source, mask)
    cache, steps = None, []
    target_mask = decoder.get("decoder_attention_mask")
    for t in range(target.shape[1]):
        output = model(
            encoder_outputs=encoded,
            attention_mask=mask,
            decoder_input_ids=target[:, t : t + 1],
            decoder_attention_mask=None if target_mask is None else target_mask[:, : t + 1],
            past_key_values=cache,
            use_cache=True,
        )
        cache = output.past_key_values
        steps.append(output.logits)
    return torch.cat(steps, dim=1)


@pytest.fixture(params=["post-norm", "pre-norm"])
def model(request, make_model, position):
    return make_model(position, block=request.param)


def test_cached_decoding_gives_the_logits_of_uncached(model, sentences):
    source, mask, target = sentences.values()
    torch.testing.assert_close(_stepwise(model, source, mask, target), _logits(model, **sentences), **TOLERANCE)


def test_a_prompt_cached_in_one_go_gives_the_logits_of_uncached(model, sentences):
    source, mask, target = sentences.values()
    with torch.no_grad():
        first = model(source, mask, target[:, :3], use_cache=True)
        rest = model(
            encoder_outputs=model.get_encoder()(source, mask),
            attention_mask=mask,
            decoder_input_ids=target[:, 3:],
            past_key_values=first.past_key_values,
        )
    together = torch.cat((first.logits, rest.logits), dim=1)
    torch.testing.assert_close(together, _logits(model, **sentences), **TOLERANCE)


def test_a_batch_gives_the_logits_of_its_sentences_alone(model, sentences):
    source, _, target = sentences.values()
    batched = _logits(model, **sentences)
    long = _logits(model, input_ids=source[:1], decoder_input_ids=target[:1])
    short = _logits(model, input_ids=source[1:, :4], decoder_input_ids=target[1:])
    torch.testing.assert_close(batched, torch.cat((long, short)), **TOLERANCE)


def test_left_padded_sources_give_the_logits_of_unpadded(model, sentences):
    source, _, target = sentences.values()
    left = torch.stack((source[0], torch.cat((source[1, 4:], source[1, :4]))))
    padded = _logits(model, input_ids=left, attention_mask=(left != 0).long(), decoder_input_ids=target)
    torch.testing.assert_close(padded, _logits(model, **sentences), **TOLERANCE)


@pytest.mark.parametrize("cached", [False, True], ids=["uncached", "cached"])
def test_left_padded_prompts_give_the_logits_of_unpadded(model, sentences, cached):
    source, mask, target = sentences.values()
    # The first prompt has 5 tokens, the second 3 behind two of padding.
    prompt = torch.stack((target[0], torch.cat((target.new_full((2,), 0), target[1, :3]))))
    prompt_mask = torch.tensor([[1, 1, 1, 1, 1], [0, 0, 1, 1, 1]])
    if cached:
        padded = _stepwise(model, source, mask, prompt, decoder_attention_mask=prompt_mask)
    else:
        padded = _logits(
            model,
            input_ids=source,
            attention_mask=mask,
            decoder_input_ids=prompt,
            decoder_attention_mask=prompt_mask,
        )
    unpadded = _logits(model, **sentences)
    torch.testing.assert_close(padded[0], unpadded[0], **TOLERANCE)
    torch.testing.assert_close(padded[1, 2:], unpadded[1, :3], **TOLERANCE)
    assert padded.isfinite().all()


def test_shifting_every_position_changes_nothing_where_the_scheme_says_so(model, sentences):
    length, target_length = sentences["input_ids"].shape[1], sentences["decoder_input_ids"].shape[1]
    shifted = _logits(
        model,
        **sentences,
        position_ids=torch.arange(length)[None] + 17,
        decoder_position_ids=torch.arange(target_length)[None] + 29,
    )
    same = torch.allclose(shifted, _logits(model, **sentences), **TOLERANCE)
    assert same == (model.encoder.position.shift_invariant and model.decoder.position.shift_invariant)


@torch.no_grad()
def test_shifted_positions_survive_the_cache(model, sentences):
    source, mask, target = sentences.values()
    places = torch.arange(5)[None] + 21
    uncached = _logits(model, **sentences, decoder_position_ids=places)
    first = model(source, mask, target[:, :3], decoder_position_ids=places[:, :3], use_cache=True)
    rest = model(
        source,
        mask,
        target[:, 3:],
        decoder_position_ids=places[:, 3:],
        past_key_values=first.past_key_values,
    )
    torch.testing.assert_close(torch.cat((first.logits, rest.logits), dim=1), uncached, **TOLERANCE)


@pytest.mark.parametrize("backend", ["sdpa", pytest.param("flex", marks=pytest.mark.slow)])
def test_backends_agree_and_say_which_ran(make_model, position, sentences, backend):
    model = make_model(position)
    model.set_attn_implementation("zoo_eager")
    expected, by_eager = _logits(model, **sentences), model.attention_backend
    model.set_attn_implementation(f"zoo_{backend}")
    torch.testing.assert_close(_logits(model, **sentences), expected, **TOLERANCE)
    assert (by_eager, model.attention_backend) == ("eager", backend)


def test_every_parameter_gets_a_gradient(make_model, position, sentences):
    model = make_model(position, tie_embeddings="none").train()
    labels = sentences["decoder_input_ids"].roll(-1, dims=1)
    model(sentences["input_ids"], sentences["attention_mask"], labels=labels).loss.backward()
    without = [name for name, item in model.named_parameters() if item.grad is None or not item.grad.any()]
    assert without == []


@pytest.mark.parametrize("reentrant", [False, True])
def test_gradient_checkpointing_changes_no_gradient(make_model, position, sentences, reentrant):
    def gradients(checkpointed: bool):
        model = make_model(position).train()
        if checkpointed:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": reentrant})
        model(
            sentences["input_ids"], sentences["attention_mask"], labels=sentences["decoder_input_ids"]
        ).loss.backward()
        return {name: item.grad for name, item in model.named_parameters()}

    plain = gradients(False)
    for name, gradient in gradients(True).items():
        torch.testing.assert_close(gradient, plain[name], msg=lambda text, name=name: f"{name}: {text}")
