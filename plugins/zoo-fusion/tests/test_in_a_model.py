"""Fusions inside a whole model: caches, beams, padding, packing, folders."""

from __future__ import annotations

import pytest
import torch

from zoo.models import ZooForConditionalGeneration
from zoo.models._compat import new_cache

FUSIONS = [
    {"fusion": {"use": "zoo-fusion/free-scalar", "embeddings_before_positions": True, "normalize_layers": True}},
    {"fusion": "zoo-fusion/transparent", "block": "zoo-blocks/pre-norm"},
    {"fusion": "zoo-fusion/fine-grained", "output_fusion": "zoo-fusion/surface-soft"},
    {"fusion": "zoo-fusion/top", "output_fusion": "zoo-fusion/surface-hard"},
]
VARIED = {"max_new_tokens": 6, "no_repeat_ngram_size": 1, "do_sample": False}
TOLERANCE = {"atol": 2e-5, "rtol": 1e-4}


@pytest.fixture(params=FUSIONS, ids=["free-scalar", "transparent", "fine-grained+soft", "hard"])
def model(request, make_model):
    return make_model(**request.param)


@torch.no_grad()
def test_cached_decoding_equals_one_pass(model, sentences):
    source, mask, target = sentences.values()
    full = model(**sentences, use_cache=False).logits
    cache, encoded, steps = new_cache(), model.get_encoder()(source, mask), []
    for t in range(target.shape[1]):
        piece = target[:, t : t + 1]
        options = {"attention_mask": mask, "decoder_input_ids": piece, "past_key_values": cache}
        steps.append(model(encoder_outputs=encoded, **options).logits)
    torch.testing.assert_close(torch.cat(steps, dim=1), full, **TOLERANCE)


@torch.no_grad()
def test_padding_on_either_side_changes_nothing(model, sentences):
    alone = model(sentences["input_ids"][1:, :4], decoder_input_ids=sentences["decoder_input_ids"][1:]).logits
    right = model(**sentences).logits[1:]
    moved = sentences["input_ids"].clone()
    moved[1] = moved[1].roll(2)
    left = model(moved, (moved != 0).long(), sentences["decoder_input_ids"]).logits[1:]
    torch.testing.assert_close(right, alone, **TOLERANCE)
    torch.testing.assert_close(left, alone, **TOLERANCE)


@torch.no_grad()
@pytest.mark.parametrize("beams", [1, 3])
def test_a_batch_generates_what_its_sentences_generate_alone(model, sentences, beams):
    options = {"attention_mask": sentences["attention_mask"], "num_beams": beams, **VARIED}
    batched = model.generate(input_ids=sentences["input_ids"], **options)
    uncached = model.generate(input_ids=sentences["input_ids"], use_cache=False, **options)
    assert batched.tolist() == uncached.tolist()
    for row, length in ((0, 6), (1, 4)):
        alone = model.generate(input_ids=sentences["input_ids"][row : row + 1, :length], num_beams=beams, **VARIED)
        assert batched[row, : alone.shape[1]].tolist() == alone[0].tolist()


@torch.no_grad()
def test_packed_pairs_have_the_logits_of_the_pairs_alone(model, sentences):
    source, target = sentences["input_ids"], sentences["decoder_input_ids"]
    segments = torch.tensor([[1] * 6 + [2] * 4])
    packed = model(
        torch.cat((source[:1], source[1:, :4]), 1),
        decoder_input_ids=torch.cat((target[:1], target[1:]), 1),
        segment_ids=segments,
        decoder_segment_ids=torch.tensor([[1] * 5 + [2] * 5]),
    ).logits
    alone = [model(source[:1], decoder_input_ids=target[:1]), model(source[1:, :4], decoder_input_ids=target[1:])]
    torch.testing.assert_close(packed, torch.cat([item.logits for item in alone], 1), **TOLERANCE)


@torch.no_grad()
def test_a_folder_gives_the_model_back(model, sentences, tmp_path):
    model.save_pretrained(tmp_path)
    restored = ZooForConditionalGeneration.from_pretrained(tmp_path)
    assert torch.equal(restored(**sentences).logits, model(**sentences).logits)


@torch.no_grad()
def test_one_source_token_and_none_give_finite_logits(model, sentences):
    target = sentences["decoder_input_ids"]
    assert model(torch.tensor([[7], [9]]), decoder_input_ids=target).logits.isfinite().all()
    source = torch.tensor([[5, 6], [0, 0]])
    assert model(source, source.ne(0), target).logits.isfinite().all()


def test_training_reaches_every_weight(model, sentences):
    model.train()
    labels = torch.randint(4, 53, (2, 5), generator=torch.Generator().manual_seed(0))
    model(sentences["input_ids"], sentences["attention_mask"], labels=labels).loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        if "fusion" in name:
            assert parameter.grad.ne(0).any(), name


@torch.no_grad()
@pytest.mark.parametrize("bare", [False, True])
def test_the_first_state_is_taken_before_positions_where_asked(make_model, sentences, bare):
    options = {"use": "zoo-fusion/free-scalar", "embeddings_before_positions": bare}
    model = make_model(options)
    source, mask, _ = sentences.values()
    encoded = model.get_encoder()(source, mask, output_hidden_states=True)
    tokens = model.encoder.embed_tokens(source) * 4.0  # sqrt(16)
    assert torch.equal(encoded.layer_states[:, 0], tokens) == bare
    assert torch.equal(encoded.layer_states[:, 0], encoded.hidden_states[0]) == (not bare)
    torch.testing.assert_close(encoded.layer_states[:, 1:], torch.stack(encoded.hidden_states[1:], 1))


@torch.no_grad()
def test_free_weights_of_the_top_alone_are_the_standard_model(make_model, sentences):
    """The prior can make the free-scalar model the standard one, logit by logit."""
    standard, free = make_model(), make_model({"use": "zoo-fusion/free-scalar", "prior": 0.0})
    free.decoder.fusion.weight.copy_(torch.tensor([0.0, 0.0, 1.0]).expand(2, 3))
    torch.testing.assert_close(free(**sentences).logits, standard(**sentences).logits)


def test_source_embeddings_of_another_encoder_are_refused(make_model, sentences):
    model = make_model(output_fusion="zoo-fusion/surface-soft")
    top = model.get_encoder()(sentences["input_ids"]).last_hidden_state
    with pytest.raises(ValueError, match="reads the source embeddings"):
        model(encoder_outputs=(top,), decoder_input_ids=sentences["decoder_input_ids"])
