"""Memories that are not the top layer: they must survive beams, caches and batches."""

from __future__ import annotations

import pytest
import torch

from zoo.models._compat import new_cache

FUSION = "zoo-private/weighted-layers"


@pytest.fixture
def model(make_model):
    return make_model(fusion=FUSION, encoder={"layers": 3})


def test_layer_states_are_one_batch_first_tensor(model, sentences):
    with torch.no_grad():
        output = model.get_encoder()(sentences["input_ids"], sentences["attention_mask"], output_hidden_states=True)
    assert output.layer_states.shape == (2, 4, 6, 32)
    torch.testing.assert_close(output.layer_states, torch.stack(output.hidden_states, dim=1))
    torch.testing.assert_close(output.layer_states[:, -1], output.last_hidden_state)


def test_layers_are_not_stacked_for_a_fusion_that_reads_the_top(make_model, sentences):
    assert make_model().get_encoder()(sentences["input_ids"]).layer_states is None


def test_the_top_state_is_normalised_where_the_block_asks_for_it(make_model, sentences):
    model = make_model(fusion=FUSION, block="pre-norm")
    with torch.no_grad():
        output = model.get_encoder()(sentences["input_ids"])
        raw = output.layer_states[:, :-1]
    torch.testing.assert_close(output.layer_states[:, -1], output.last_hidden_state)
    assert output.last_hidden_state.var(-1, unbiased=False).sub(1).abs().max() < 1e-2
    assert raw.var(-1, unbiased=False).sub(1).abs().max() > 1e-2


@torch.no_grad()
def test_cached_decoding_keeps_the_memorys_own_mask(model, sentences):
    source, mask, target = sentences.values()
    full = model(**sentences, use_cache=False).logits
    cache, steps = new_cache(), []
    encoded = model.get_encoder()(source, mask)
    for t in range(target.shape[1]):
        output = model(
            encoder_outputs=encoded,
            attention_mask=mask,
            decoder_input_ids=target[:, t : t + 1],
            past_key_values=cache,
        )
        steps.append(output.logits)
    torch.testing.assert_close(torch.cat(steps, dim=1), full, atol=2e-5, rtol=1e-4)


def test_the_first_source_token_is_hidden_by_the_fusions_mask(model, sentences):
    with torch.no_grad():
        attentions = model(**sentences, output_attentions=True).cross_attentions
    assert all(item[..., 0].abs().max() == 0 for item in attentions)


def test_the_memory_is_made_once_a_sentence(model, sentences, monkeypatch):
    calls = []
    original = type(model.decoder.fusion).memory

    def counted(self, states, mask, layer):
        calls.append(layer)
        return original(self, states, mask, layer)

    monkeypatch.setattr(type(model.decoder.fusion), "memory", counted)
    model.generate(input_ids=sentences["input_ids"], max_new_tokens=5, min_new_tokens=5, do_sample=False)
    assert calls == [0, 1]


def test_beams_of_a_batch_are_beams_of_its_sentences(model, sentences):
    options = {"num_beams": 3, "max_new_tokens": 6, "do_sample": False, "no_repeat_ngram_size": 1}
    batched = model.generate(input_ids=sentences["input_ids"], attention_mask=sentences["attention_mask"], **options)
    for row, length in ((0, 6), (1, 4)):
        alone = model.generate(input_ids=sentences["input_ids"][row : row + 1, :length], **options)
        assert batched[row, : alone.shape[1]].tolist() == alone[0].tolist()


def test_every_fusion_weight_gets_a_gradient(model, sentences):
    model.train()
    model(sentences["input_ids"], sentences["attention_mask"], labels=sentences["decoder_input_ids"]).loss.backward()
    assert model.decoder.fusion.weight.grad.ne(0).all()


def test_checkpointing_reaches_the_fusion(model, sentences):
    def gradient(reentrant: bool | None):
        model.train().zero_grad()
        if reentrant is not None:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": reentrant})
        model(sentences["input_ids"], labels=sentences["decoder_input_ids"]).loss.backward()
        return model.decoder.fusion.weight.grad.clone()

    plain = gradient(None)
    torch.testing.assert_close(gradient(True), plain)
    torch.testing.assert_close(gradient(False), plain)


def test_states_of_another_encoder_are_refused(model, sentences):
    top = model.get_encoder()(sentences["input_ids"]).last_hidden_state
    with pytest.raises(ValueError, match="reads every encoder layer"):
        model(encoder_outputs=(top,), decoder_input_ids=sentences["decoder_input_ids"])
