"""generate() as a user calls it."""

from __future__ import annotations

import pytest
import torch

VARIED = {"max_new_tokens": 8, "no_repeat_ngram_size": 1}
"""Random weights repeat one token for ever; every token may come once."""


@pytest.fixture
def source(sentences):
    return {name: sentences[name] for name in ("input_ids", "attention_mask")}


@pytest.fixture
def model(make_model, position):
    return make_model(position)


@pytest.mark.parametrize("beams", [1, 3])
def test_the_cache_does_not_change_what_is_generated(model, source, beams):
    cached = model.generate(**source, **VARIED, num_beams=beams, do_sample=False)
    uncached = model.generate(**source, **VARIED, num_beams=beams, do_sample=False, use_cache=False)
    assert cached.tolist() == uncached.tolist()


@pytest.mark.parametrize("beams", [1, 3])
def test_a_batch_generates_what_its_sentences_generate_alone(model, source, beams):
    batched = model.generate(**source, **VARIED, num_beams=beams, do_sample=False)
    alone = model.generate(input_ids=source["input_ids"][1:, :4], **VARIED, num_beams=beams, do_sample=False)
    assert batched[1, : alone.shape[1]].tolist() == alone[0].tolist()


@pytest.mark.parametrize("beams", [1, 3])
def test_a_left_padded_prompt_is_continued_like_an_unpadded_one(model, source, beams):
    prompts = torch.tensor([[0, 9, 17], [0, 0, 9]])  # the start of the second is at index 1
    mask = torch.tensor([[1, 1, 1], [0, 1, 1]])
    options = VARIED | {"num_beams": beams, "do_sample": False}
    padded = model.generate(**source, decoder_input_ids=prompts, decoder_attention_mask=mask, **options)
    for sentence, prompt, skip in ((0, prompts[:1], 0), (1, prompts[1:, 1:], 1)):
        row = {name: item[sentence : sentence + 1] for name, item in source.items()}
        alone = model.generate(**row, decoder_input_ids=prompt, **options)
        generated = padded[sentence, skip:][: alone.shape[1]]
        assert generated.tolist() == alone[0, : len(generated)].tolist()


def test_sampling_follows_torchs_seed(make_model, source):
    model = make_model()

    def sample(seed: int):
        torch.manual_seed(seed)
        return model.generate(**source, max_new_tokens=12, do_sample=True, temperature=3.0).tolist()

    assert sample(1) == sample(1)
    assert sample(1) != sample(2)


def test_generation_starts_with_the_start_token_and_stops_at_the_end_token(make_model, source):
    model = make_model(tie_embeddings="none")
    with torch.no_grad():
        model.lm_head.weight.zero_()
        model.lm_head.weight[model.config.eos_token_id] = 0.0
    output = model.generate(**source, max_new_tokens=6, do_sample=False, bad_words_ids=[[0]])
    # All logits are equal and 0 is forbidden: the first allowed id is 1, the end.
    assert output.tolist() == [[0, 1], [0, 1]]


def test_attentions_and_states_come_on_request(make_model, sentences):
    model = make_model()
    with torch.no_grad():
        output = model(**sentences, output_attentions=True, output_hidden_states=True)
        plain = model(**sentences)
    batch, source, target, heads, width = 2, 6, 5, 4, 32
    assert [tuple(item.shape) for item in output.encoder_attentions] == [(batch, heads, source, source)] * 2
    assert [tuple(item.shape) for item in output.decoder_attentions] == [(batch, heads, target, target)] * 2
    assert [tuple(item.shape) for item in output.cross_attentions] == [(batch, heads, target, source)] * 2
    assert [tuple(item.shape) for item in output.encoder_hidden_states] == [(batch, source, width)] * 3
    assert [tuple(item.shape) for item in output.decoder_hidden_states] == [(batch, target, width)] * 3
    torch.testing.assert_close(output.encoder_hidden_states[-1], output.encoder_last_hidden_state)
    for weights in (*output.encoder_attentions, *output.decoder_attentions, *output.cross_attentions):
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]))
    # The second source ends after 4 tokens, and no target token looks ahead.
    assert output.cross_attentions[0][1, ..., 4:].abs().max() == 0
    assert output.decoder_attentions[0].triu(1).abs().max() == 0
    torch.testing.assert_close(output.logits, plain.logits, atol=1e-5, rtol=1e-5)
    assert plain.encoder_attentions is None
    assert plain.decoder_hidden_states is None


def test_a_tuple_is_returned_where_it_is_asked_for(make_model, sentences):
    model = make_model()
    with torch.no_grad():
        expected = model(**sentences, use_cache=False).logits
        output = model(**sentences, use_cache=False, return_dict=False)
    assert isinstance(output, tuple)
    torch.testing.assert_close(output[0], expected)


def test_embeddings_may_be_given_instead_of_tokens(make_model, sentences):
    model = make_model()
    source, mask, target = sentences.values()
    with torch.no_grad():
        expected = model(source, mask, target).logits
        found = model(
            inputs_embeds=model.encoder.embed_tokens(source),
            attention_mask=mask,
            decoder_inputs_embeds=model.decoder.embed_tokens(target),
        ).logits
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("side", ["encoder", "decoder"])
def test_a_sequence_past_the_end_of_a_table_is_refused_by_name(make_model, side):
    from zoo.errors import InputError

    model = make_model("zoo-positional/learned", max_positions=8)
    lengths = {"encoder": (9, 2), "decoder": (2, 9)}[side]
    source, target = (torch.full((1, length), 5) for length in lengths)
    with pytest.raises(InputError, match=f"the {side}'s position scheme ends at 8 positions, the sequence needs 9"):
        model(input_ids=source, decoder_input_ids=target)


def test_a_mask_that_does_not_fit_the_cache_is_refused(make_model, sentences):
    with pytest.raises(ValueError, match=r"decoder_attention_mask: expected \[batch, 5\]"):
        make_model()(**sentences, decoder_attention_mask=torch.ones(2, 4))


def test_an_empty_source_gives_finite_logits(make_model, position):
    source = torch.tensor([[5, 6, 7], [0, 0, 0]])
    with torch.no_grad():
        logits = make_model(position)(
            input_ids=source, attention_mask=source.ne(0), decoder_input_ids=torch.tensor([[0, 4], [0, 4]])
        ).logits
    assert logits.isfinite().all()
