"""Positions in cross-attention: targets on the side of the queries, sources on that of the keys."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from zoo.errors import InputError
from zoo.models.contracts import Memory, position_ids
from zoo.spec import resolve_model

from .test_identities import TOLERANCE, _logits, _stepwise
from .test_packing import PAIRS, alone, packed

SCHEMES = {
    "rotary": {},
    "rotary-inverse": {"use": "rotary", "values": "inverse"},
    "alibi": {"shape": "asymmetric"},
    "t5": {"buckets": 8, "max_distance": 5},
    "shaw": {"clip": 2},
    "p-transformer": {},
    "deberta": {"clip": 3},
    "transformer-xl": {"clip": 3},
    "sum": {"of": ["p-transformer", {"use": "shaw", "clip": 1}]},
}


def _decoder(name: str) -> dict[str, object]:
    return {"layers": 2, "cross_position": {"use": name} | SCHEMES[name]}


@pytest.fixture(params=list(SCHEMES))
def model(request, make_model):
    return make_model(decoder=_decoder(request.param))


def test_it_changes_the_logits(model, make_model, sentences):
    without = make_model()
    without.load_state_dict(model.state_dict(), strict=False)
    assert (_logits(model, **sentences) - _logits(without, **sentences)).abs().max() > 1e-3


def test_the_other_weights_of_a_seed_are_as_without(model, make_model):
    without = make_model().state_dict()
    new = {name: item for name, item in model.state_dict().items() if not name.startswith("decoder.cross_position.")}
    assert new.keys() == without.keys()
    assert all(torch.equal(new[name], without[name]) for name in new)


def test_cached_decoding_gives_the_logits_of_uncached(model, sentences):
    source, mask, target = sentences.values()
    torch.testing.assert_close(_stepwise(model, source, mask, target), _logits(model, **sentences), **TOLERANCE)


def test_left_padding_and_batching_never_show(model, sentences):
    source, _, target = sentences.values()
    expected = torch.cat([_logits(model, input_ids=source[:1], decoder_input_ids=target[:1]),
                          _logits(model, input_ids=source[1:, :4], decoder_input_ids=target[1:])])  # fmt: skip
    left = torch.stack((source[0], torch.cat((source[1, 4:], source[1, :4]))))
    mask = (left != 0).long()
    torch.testing.assert_close(_logits(model, **sentences), expected, **TOLERANCE)
    torch.testing.assert_close(
        _logits(model, input_ids=left, attention_mask=mask, decoder_input_ids=target), expected, **TOLERANCE
    )
    torch.testing.assert_close(_stepwise(model, left, mask, target), expected, **TOLERANCE)


def test_beam_search_gives_each_sentence_what_it_gives_alone(model, sentences):
    source, _, _ = sentences.values()
    left = torch.stack((source[0], torch.cat((source[1, 4:], source[1, :4]))))
    options = {"num_beams": 3, "max_new_tokens": 5, "min_new_tokens": 5, "do_sample": False}
    together = model.generate(input_ids=left, attention_mask=(left != 0).long(), **options)
    for row, tokens in enumerate((source[:1], source[1:, :4])):
        assert torch.equal(model.generate(input_ids=tokens, **options)[0], together[row])


def test_packed_pairs_have_the_logits_of_the_pairs_alone(model):
    draw = torch.Generator().manual_seed(5)
    pairs = [tuple(torch.randint(4, 53, (1, length), generator=draw) for length in pair) for pair in PAIRS]
    with torch.no_grad():
        torch.testing.assert_close(packed(model, pairs), alone(model, pairs), **TOLERANCE)


def test_backends_agree(model, sentences):
    logits = {}
    for name in ("eager", "sdpa"):
        model.set_attn_implementation(f"zoo_{name}")
        logits[name] = _logits(model, **sentences)
    torch.testing.assert_close(logits["sdpa"], logits["eager"], **TOLERANCE)


def test_every_parameter_gets_a_gradient_recomputed_or_not(model, sentences):
    model.train()
    found = []
    for recompute in (False, True):
        if recompute:
            model.gradient_checkpointing_enable()
        model.zero_grad()
        model(
            sentences["input_ids"], sentences["attention_mask"], labels=sentences["decoder_input_ids"]
        ).loss.backward()
        found.append({name: item.grad.clone() for name, item in model.decoder.cross_position.named_parameters()})
    assert all(gradient.any() for gradient in found[0].values())
    torch.testing.assert_close(found[1], found[0])


@torch.no_grad()
def test_positions_that_a_caller_gives_the_encoder_are_those_of_the_keys(make_model, sentences):
    """A rotary cross-attention sees the distance between target and source, and no shift of both."""
    model = make_model("zoo-positional/none", decoder=_decoder("rotary"))
    source, mask, target = sentences.values()
    places, target_places = position_ids(mask, 6, device=source.device), torch.arange(5)[None]
    plain = _logits(model, **sentences)
    both = _logits(model, **sentences, position_ids=places + 9, decoder_position_ids=target_places + 9)
    one = _logits(model, **sentences, position_ids=places + 9)
    torch.testing.assert_close(both, plain, **TOLERANCE)
    assert (one - plain).abs().max() > 1e-3
    encoded = model.get_encoder()(source, mask, position_ids=places + 9)
    found = model(encoder_outputs=encoded, attention_mask=mask, decoder_input_ids=target).logits
    torch.testing.assert_close(found, one, **TOLERANCE)


@torch.no_grad()
@pytest.mark.parametrize("left", [False, True], ids=["right", "left"])
def test_a_bias_is_made_once_for_all_layers_and_a_row_of_positions_for_the_batch(
    make_model, sentences, monkeypatch, left
):
    model = make_model(decoder=_decoder("t5"))
    scheme, asked = model.decoder.cross_position, []
    score = scheme.score
    monkeypatch.setattr(scheme, "score", lambda q, k, *places: asked.append(places) or score(q, k, *places))
    source, mask, target = sentences.values()
    if left:
        source, mask = source.flip(1), mask.flip(1)
    _logits(model, input_ids=source, attention_mask=mask, decoder_input_ids=target)
    ((targets, sources),) = asked
    assert (len(targets), len(sources)) == (1, 2 if left else 1)


@torch.no_grad()
def test_p_transformer_adds_the_targets_to_queries_and_the_sources_to_keys(make_model, sentences):
    """Li et al. 2022 in float64: Q = (Y + P_target) Wq, K = (X + P_source) Wk, V = X Wv."""
    model = make_model("zoo-positional/none", decoder={"layers": 1, "cross_position": "p-transformer"}).double()
    layer, seen = model.decoder.layers[0].cross_attention, {}
    layer.register_forward_hook(lambda _, inputs, output: seen.update(inputs=inputs, output=output))
    source, _, target = sentences.values()
    _logits(model, input_ids=source[1:, :4], decoder_input_ids=target[1:])
    y, x = seen["inputs"][0][0], seen["inputs"][1][0]  # [T, D], [S, D]

    def code(length: int) -> Tensor:
        angle = torch.arange(length)[:, None] / 10000 ** (torch.arange(0, 32, 2, dtype=torch.float64) / 32)
        return torch.cat((angle.sin(), angle.cos()), dim=-1)  # [L, D]

    key_rows, value_rows = layer.kv.weight.chunk(2)
    key_bias, value_bias = layer.kv.bias.chunk(2)
    q = layer.query(y + code(5)).view(5, 4, 8).transpose(0, 1)
    k = ((x + code(4)) @ key_rows.T + key_bias).view(4, 4, 8).transpose(0, 1)
    v = (x @ value_rows.T + value_bias).view(4, 4, 8).transpose(0, 1)
    expected = layer.out(((q @ k.mT) / 8**0.5).softmax(-1).matmul(v).transpose(0, 1).reshape(5, 32))
    torch.testing.assert_close(seen["output"][0], expected, atol=1e-6, rtol=1e-6)


def test_a_saved_model_computes_what_it_did(model, sentences, tmp_path):
    expected = _logits(model, **sentences)
    model.save_pretrained(tmp_path)
    assert torch.equal(_logits(type(model).from_pretrained(tmp_path).eval(), **sentences), expected)


def test_a_memory_of_another_length_is_refused(make_model, sentences, monkeypatch):
    model = make_model(decoder=_decoder("rotary"))
    monkeypatch.setattr(model.decoder.fusion, "memory", lambda states, mask, layer: Memory(states[:, 0, :3], states[:, 0, :3], None))  # fmt: skip  # noqa: E501
    with pytest.raises(ValueError, match="places the 6 source tokens.* memory of 3"):
        _logits(model, **sentences)


@pytest.mark.parametrize("name", ["sinusoidal", "learned", "sum"])
def test_a_scheme_of_embeddings_is_refused_in_one_line(make_section, name):
    cross = {"use": "sum", "of": ["shaw", "sinusoidal"]} if name == "sum" else name
    section = make_section().model_dump(mode="json")
    section["decoder"]["cross_position"] = cross
    with pytest.raises(InputError, match=f"cross_position.*'{name}' adds positions to embeddings") as refusal:
        resolve_model(section)
    assert "\n" not in str(refusal.value)
