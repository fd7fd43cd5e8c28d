"""Causal and prefix language models: how a batch is laid out never shows, and the prefix sees what it should."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from zoo.models import ZooForCausalLM
from zoo.models._compat import CACHE

TOLERANCE = {"atol": 2e-5, "rtol": 1e-4}
PAD, EOS, SEPARATOR = 0, 1, 2
SOURCES = [[7, 8, 9, 10, 11], [12, 13], []]
TARGETS = [[20, 21, 22], [23, 24, 25], [26, 27, 28]]
VARIED = {"max_new_tokens": 6, "no_repeat_ngram_size": 1, "do_sample": False}
"""Random weights repeat one token for ever; every token may come once."""


@pytest.fixture(params=["causal-lm", "prefix-lm"])
def architecture(request) -> str:
    return request.param


@pytest.fixture
def make_lm(make_model):
    def make(architecture: str, position: str = "zoo-positional/rotary", **changes):
        plain = {"architecture": architecture, "encoder": None, "fusion": None, "block": "pre-norm"}
        return make_model(position, **plain, **changes)

    return make


def rows(pairs: list[tuple[list[int], list[int]]], side: str = "right") -> tuple[Tensor, Tensor]:
    """Ids and mask ``[B, L]`` of source, separator and target."""
    sequences = [[*source, SEPARATOR, *target] for source, target in pairs]
    length = max(map(len, sequences))
    padding = [[PAD] * (length - len(item)) for item in sequences]
    padded = [a + b if side == "right" else b + a for a, b in zip(sequences, padding, strict=True)]
    ids = torch.tensor(padded)
    return ids, (ids != PAD).long()


def encoded(sources: list[list[int]]) -> dict[str, Tensor]:
    """Sources as tokenizers give them."""
    length = max(len(item) + 1 for item in sources)
    ids = torch.tensor([[*item, EOS, *[PAD] * (length - len(item) - 1)] for item in sources])
    return {"input_ids": ids, "attention_mask": (ids != PAD).long()}


@torch.no_grad()
def logits(model, ids: Tensor, mask: Tensor | None = None, **options) -> Tensor:
    return model(ids, mask, use_cache=False, **options).logits


def alone(model, index: int) -> Tensor:
    ids, _ = rows([(SOURCES[index], TARGETS[index])])
    return logits(model, ids)[0]


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_padded_batch_gives_the_logits_of_its_rows_alone(make_lm, architecture, position, side):
    model = make_lm(architecture, position)
    ids, mask = rows(list(zip(SOURCES, TARGETS, strict=True)), side)
    found = logits(model, ids, mask)
    for index in range(len(SOURCES)):
        torch.testing.assert_close(found[index][mask[index].bool()], alone(model, index), **TOLERANCE)
    assert found.isfinite().all()


@torch.no_grad()
def test_cached_decoding_gives_the_logits_of_uncached(make_lm, architecture, position):
    model = make_lm(architecture, position)
    ids, mask = rows(list(zip(SOURCES, TARGETS, strict=True)), "left")
    whole, prompt = logits(model, ids, mask), 6
    steps, cache = [], None
    for begin, end in ((0, prompt), *((t, t + 1) for t in range(prompt, ids.shape[1]))):
        output = model(ids[:, begin:end], mask[:, :end], past_key_values=cache, use_cache=True)
        cache = output[CACHE]
        steps.append(output.logits)
    torch.testing.assert_close(torch.cat(steps, dim=1)[mask.bool()], whole[mask.bool()], **TOLERANCE)


@pytest.mark.parametrize("beams", [1, 3])
def test_generation_is_the_same_cached_uncached_and_alone(make_lm, architecture, beams):
    model = make_lm(architecture, "zoo-positional/alibi")
    prompt = model.prompts(encoded(SOURCES))
    cached = model.generate(**prompt, **VARIED, num_beams=beams)
    uncached = model.generate(**prompt, **VARIED, num_beams=beams, use_cache=False)
    assert cached.tolist() == uncached.tolist()
    written = model.written(cached, prompt)
    for index in range(len(SOURCES)):
        single = model.prompts(encoded(SOURCES[index : index + 1]))
        expected = model.written(model.generate(**single, **VARIED, num_beams=beams), single)[0]
        assert written[index, : len(expected)].tolist() == expected.tolist()
    assert set(written[:, 0].tolist()) == {SEPARATOR}


@pytest.mark.parametrize("beams", [1, 3])
def test_generation_goes_on_from_a_source_that_was_read_before(make_lm, architecture, beams):
    model = make_lm(architecture)
    for source in (SOURCES, SOURCES[2:]):
        prompt = model.prompts(encoded(source))
        expected = model.generate(**prompt, **VARIED, num_beams=beams)
        with torch.no_grad():
            read = model.read_source(encoded(source))
        assert model.generate(**read, **VARIED, num_beams=beams).tolist() == expected.tolist()


def test_generation_leaves_positions_to_the_stack_unless_they_are_given(make_lm):
    model, seen = make_lm("causal-lm", "zoo-positional/learned"), []

    def note(module, arguments, options):
        seen.append(options.get("position_ids"))

    model.register_forward_pre_hook(note, with_kwargs=True)
    prompt = model.prompts(encoded(SOURCES))
    model.generate(**prompt, **VARIED)
    assert seen == [None] * VARIED["max_new_tokens"]
    seen.clear()
    places = prompt["attention_mask"].cumsum(-1) + 9
    model.generate(**prompt, position_ids=places, **VARIED)
    assert seen[0].tolist() == places.tolist()


def test_prompts_end_in_the_separator_and_are_padded_on_the_left(make_lm):
    prompt = make_lm("causal-lm").prompts(encoded(SOURCES))
    assert prompt["input_ids"].tolist() == [
        [7, 8, 9, 10, 11, SEPARATOR],
        [PAD, PAD, PAD, 12, 13, SEPARATOR],
        [PAD, PAD, PAD, PAD, PAD, SEPARATOR],
    ]
    assert prompt["attention_mask"].tolist() == [[1] * 6, [0, 0, 0, 1, 1, 1], [0] * 5 + [1]]


def test_target_logits_are_those_of_the_sequence(make_lm, architecture):
    model = make_lm(architecture)
    labels = torch.tensor([[20, 21, EOS], [23, EOS, -100], [EOS, -100, -100]])
    with torch.no_grad():
        found = model.target_logits(encoded(SOURCES), labels)
    for index, target in enumerate(([20, 21], [23], [])):
        ids, _ = rows([(SOURCES[index], target)])
        expected = logits(model, ids)[0, len(SOURCES[index]) :]  # [1 + T, V]
        torch.testing.assert_close(found[index, : len(target) + 1], expected, **TOLERANCE)


@torch.no_grad()
def test_a_prefix_sees_itself_in_both_directions_and_the_target_nothing_ahead(make_lm):
    model = make_lm("prefix-lm", "zoo-positional/alibi")
    ids, mask = rows(list(zip(SOURCES, TARGETS, strict=True)), "left")
    attentions = model(ids, mask, output_attentions=True).attentions
    for row, source in enumerate(SOURCES):
        start, length = int((mask[row] == 0).sum()), len(source)
        for query in range(start, ids.shape[1]):
            for key in range(ids.shape[1]):
                before, prefix = start <= key <= query, max(query, key) < start + length
                visible = before or (key >= start and prefix)
                for layer in attentions:
                    assert bool((layer[row, :, query, key] > 0).all()) == visible


def test_where_there_is_at_most_one_prefix_token_both_architectures_agree(make_lm):
    causal = make_lm("causal-lm")
    prefix = make_lm("prefix-lm")
    assert all(torch.equal(a, b) for a, b in zip(causal.parameters(), prefix.parameters(), strict=True))
    for source, same in (([], True), ([9], True), ([9, 10], False)):
        ids, _ = rows([(source, TARGETS[0])])
        assert torch.allclose(logits(causal, ids), logits(prefix, ids), **TOLERANCE) == same
    plain = torch.tensor([[9, 10, 11, 12]])  # no separator, no prefix
    assert torch.equal(logits(causal, plain), logits(prefix, plain))


def test_packed_rows_give_the_logits_of_their_examples_alone(make_lm, architecture, position):
    model = make_lm(architecture, position)
    sequences = [torch.tensor([*a, SEPARATOR, *b]) for a, b in zip(SOURCES, TARGETS, strict=True)]
    layout = [[0, 1], [2, 1, 2]]
    packed = [torch.cat([sequences[i] for i in row]) for row in layout]
    numbers = [torch.cat([torch.full_like(sequences[i], n) for n, i in enumerate(row, 1)]) for row in layout]
    pad = torch.nn.utils.rnn.pad_sequence
    ids, segments = pad(packed, batch_first=True), pad(numbers, batch_first=True)
    found = logits(model, ids, segment_ids=segments)
    expected = torch.cat([alone(model, i) for row in layout for i in row])
    torch.testing.assert_close(found[segments != 0], expected, **TOLERANCE)
    assert found.isfinite().all()


def test_what_does_not_go_together_is_refused(make_lm):
    causal, prefix = make_lm("causal-lm"), make_lm("prefix-lm")
    ids, mask = rows([(SOURCES[0], TARGETS[0])])
    ones = torch.ones_like(ids)
    with pytest.raises(ValueError, match="a causal-lm has no prefix"):
        causal(ids, prefix_mask=ones)
    with pytest.raises(ValueError, match="padding is segment 0"):
        causal(ids, mask, segment_ids=ones)
    with torch.no_grad():
        cache = prefix.read_source(encoded(SOURCES[:1]))
    cache = cache[CACHE]
    with pytest.raises(ValueError, match="a prefix is read whole"):
        prefix(ids, past_key_values=cache, prefix_mask=ones)
    with pytest.raises(ValueError, match="packed rows are read whole"):
        prefix(ids, past_key_values=cache, segment_ids=ones)


def test_a_prefix_mask_that_is_given_is_the_one_that_counts(make_lm):
    model = make_lm("prefix-lm")
    plain = torch.tensor([[9, 10, 11, 12]])
    with_separator = torch.tensor([[9, 10, SEPARATOR, 12]])
    given = torch.tensor([[1, 1, 0, 0]])
    assert torch.equal(logits(model, with_separator, prefix_mask=given), logits(model, with_separator))
    assert not torch.allclose(logits(model, plain, prefix_mask=given), logits(model, plain), atol=1e-4)
    options = VARIED | {"num_beams": 2}
    cached = model.generate(plain, prefix_mask=given, **options)
    assert cached.tolist() == model.generate(plain, prefix_mask=given, use_cache=False, **options).tolist()


def test_the_loss_is_that_of_the_labelled_tokens_under_their_left_neighbours(make_lm, architecture):
    model = make_lm(architecture)
    ids, mask = rows(list(zip(SOURCES, TARGETS, strict=True)))
    labels = ids.masked_fill(mask == 0, -100)
    labels[0, :6] = -100
    scores = logits(model, ids, mask).log_softmax(-1)
    terms = [-scores[b, t - 1, labels[b, t]] for b in range(3) for t in range(1, ids.shape[1]) if labels[b, t] != -100]
    with torch.no_grad():
        torch.testing.assert_close(model(ids, mask, labels=labels).loss, torch.stack(terms).mean())
        torch.testing.assert_close(
            model(ids, mask, labels=labels, num_items_in_batch=4).loss, torch.stack(terms).sum() / 4
        )


def test_sampling_follows_torchs_seed(make_lm):
    model = make_lm("prefix-lm")
    prompt = model.prompts(encoded(SOURCES))

    def sample(seed: int) -> list[list[int]]:
        torch.manual_seed(seed)
        return model.generate(**prompt, max_new_tokens=8, do_sample=True, temperature=3.0).tolist()

    assert sample(1) == sample(1)
    assert sample(1) != sample(2)


@pytest.mark.parametrize("reentrant", [False, True])
def test_gradient_checkpointing_changes_no_gradient(make_lm, reentrant):
    def gradients(checkpointed: bool) -> dict[str, Tensor | None]:
        model = make_lm("prefix-lm", "zoo-private/shared-table").train()
        if checkpointed:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": reentrant})
        ids, mask = rows(list(zip(SOURCES, TARGETS, strict=True)))
        model(ids, mask, labels=ids.masked_fill(mask == 0, -100)).loss.backward()
        return {name: item.grad for name, item in model.named_parameters()}

    plain = gradients(False)
    assert all(item is not None and item.any() for item in plain.values())
    for name, gradient in gradients(True).items():
        torch.testing.assert_close(gradient, plain[name], msg=lambda text, name=name: f"{name}: {text}")


def test_backends_agree(make_lm, architecture):
    model = make_lm(architecture, "zoo-positional/alibi")
    ids, mask = rows(list(zip(SOURCES, TARGETS, strict=True)), "left")
    found = {}
    for name in ("eager", "sdpa", "flex"):
        model.set_attn_implementation(f"zoo_{name}")
        found[name] = logits(model, ids, mask)[mask.bool()]
        assert model.attention_backend == name
    torch.testing.assert_close(found["sdpa"], found["eager"], **TOLERANCE)
    torch.testing.assert_close(found["flex"], found["eager"], **TOLERANCE)


def test_a_scheme_is_told_whether_it_looks_backwards_only(make_lm):
    assert make_lm("causal-lm").decoder.position.context.causal
    assert not make_lm("prefix-lm").decoder.position.context.causal


def test_a_language_model_is_one(make_lm, architecture):
    model = make_lm(architecture)
    assert isinstance(model, ZooForCausalLM)
    assert not model.config.is_encoder_decoder
    assert model.can_generate()
