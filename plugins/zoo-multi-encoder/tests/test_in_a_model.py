"""Context encoders inside a whole model: caches, beams, padding, empty contexts, folders."""

from __future__ import annotations

import pytest
import torch

from zoo.models import ZooForConditionalGeneration
from zoo.models._compat import new_cache
from zoo.models.attention import CrossAttention
from zoo.models.flops import forward_flops
from zoo.models.initialization import matrices_of

NAMES = ["outside", "inside", "gated"]
VARIED = {"max_new_tokens": 6, "no_repeat_ngram_size": 1, "do_sample": False}
TOLERANCE = {"atol": 2e-5, "rtol": 1e-4}
LENGTHS = ((6, 3), (4, 7), (5, 0))
"""Source and context tokens of the three sentences."""


@pytest.fixture(params=NAMES)
def model(request, make_model):
    return make_model(request.param)


def alone(sentences, row: int) -> dict[str, torch.Tensor]:
    """One sentence without padding; without context arguments where it has none."""
    source, context = LENGTHS[row]
    inputs = {"input_ids": sentences["input_ids"][row : row + 1, :source]}
    if context:
        inputs["context_input_ids"] = sentences["context_input_ids"][row : row + 1, :context]
    return inputs


@torch.no_grad()
def test_a_batch_is_computed_as_its_sentences_alone(model, sentences):
    """Padded sources, padded contexts, and an empty one."""
    batch = model(**sentences).logits
    for row in range(3):
        single = model(**alone(sentences, row), decoder_input_ids=sentences["decoder_input_ids"][row : row + 1]).logits
        torch.testing.assert_close(batch[row : row + 1], single, **TOLERANCE)


@torch.no_grad()
def test_padding_on_the_left_changes_nothing(model, sentences):
    moved = dict(sentences)
    for name in ("input_ids", "context_input_ids"):
        mask = name.replace("input_ids", "attention_mask")
        moved[name] = torch.stack([row.roll(int((row == 0).sum())) for row in sentences[name]])
        moved[mask] = moved[name].ne(0).long()
    torch.testing.assert_close(model(**moved).logits, model(**sentences).logits, **TOLERANCE)


@torch.no_grad()
def test_the_context_is_read(model, sentences):
    other = sentences | {"context_input_ids": (sentences["context_input_ids"].roll(1, -1) + 1) % 53}
    assert not torch.allclose(model(**other).logits[:2], model(**sentences).logits[:2], atol=1e-3)
    torch.testing.assert_close(model(**other).logits[2], model(**sentences).logits[2])


@torch.no_grad()
def test_cached_decoding_equals_one_pass(model, sentences):
    target = sentences["decoder_input_ids"]
    full = model(**sentences, use_cache=False).logits
    given = {name: item for name, item in sentences.items() if name != "decoder_input_ids"}
    cache, encoded, steps = new_cache(), model.get_encoder()(**given), []
    for t in range(target.shape[1]):
        output = model(
            encoder_outputs=encoded,
            attention_mask=sentences["attention_mask"],
            decoder_input_ids=target[:, t : t + 1],
            past_key_values=cache,
        )
        steps.append(output.logits)
    torch.testing.assert_close(torch.cat(steps, dim=1), full, **TOLERANCE)


@torch.no_grad()
@pytest.mark.parametrize("beams", [1, 3])
def test_a_batch_generates_what_its_sentences_generate_alone(model, sentences, beams):
    given = {name: item for name, item in sentences.items() if name != "decoder_input_ids"}
    batched = model.generate(**given, num_beams=beams, **VARIED)
    assert batched.tolist() == model.generate(**given, num_beams=beams, use_cache=False, **VARIED).tolist()
    for row in range(3):
        single = model.generate(**alone(sentences, row), num_beams=beams, **VARIED)
        assert batched[row, : single.shape[1]].tolist() == single[0].tolist()


@torch.no_grad()
def test_a_beam_scores_its_output_as_one_pass_does(model, sentences):
    """transformers' own score of the best beam is the log-probability of its tokens given source and context."""
    given = {name: item[:1] for name, item in sentences.items() if name != "decoder_input_ids"}
    found = model.generate(
        **given, num_beams=4, max_new_tokens=5, do_sample=False, return_dict_in_generate=True, output_scores=True
    )
    tokens = found.sequences[0]
    logits = model(**given, decoder_input_ids=tokens[None, :-1], use_cache=False).logits[0]
    chosen = logits.log_softmax(-1).gather(-1, tokens[1:, None])  # [T, 1]
    torch.testing.assert_close(found.sequences_scores[0], chosen.mean(), **TOLERANCE)


@torch.no_grad()
def test_encoding_apart_from_decoding_gives_the_same(model, sentences):
    given = {name: item for name, item in sentences.items() if name != "decoder_input_ids"}
    encoded = model.get_encoder()(**given)
    apart = model.generate(encoder_outputs=encoded, attention_mask=given["attention_mask"], **VARIED)
    assert apart.tolist() == model.generate(**given, **VARIED).tolist()


@torch.no_grad()
@pytest.mark.parametrize("share", ["embeddings", "weights"])
def test_a_folder_gives_the_model_back(make_model, sentences, tmp_path, share):
    model = make_model("inside", share=share)
    model.save_pretrained(tmp_path)
    restored = ZooForConditionalGeneration.from_pretrained(tmp_path)
    assert restored.reads_context
    assert torch.equal(restored(**sentences).logits, model(**sentences).logits)


@torch.no_grad()
def test_one_token_and_no_token_give_finite_logits(model, sentences):
    target, one = sentences["decoder_input_ids"][:2], torch.tensor([[7], [9]])
    assert model(one, decoder_input_ids=target, context_input_ids=one).logits.isfinite().all()
    nothing = torch.zeros(2, 1, dtype=torch.long)
    empty = model(one, decoder_input_ids=target, context_input_ids=one, context_attention_mask=nothing).logits
    torch.testing.assert_close(empty, model(one, decoder_input_ids=target).logits)
    assert model(nothing, nothing, target, context_input_ids=one).logits.isfinite().all()


@pytest.mark.parametrize("block", ["pre-norm", "post-norm"])
@pytest.mark.parametrize("name", NAMES)
def test_training_reaches_every_weight_and_no_nan(make_model, sentences, name, block):
    """The third example has no context."""
    model = make_model(name, changes={"block": f"zoo-blocks/{block}"}).train()
    labels = torch.randint(4, 53, (3, 5), generator=torch.Generator().manual_seed(0))
    given = {key: item for key, item in sentences.items() if key != "decoder_input_ids"}
    model(**given, labels=labels).loss.backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        if "context" in key:
            assert parameter.grad.ne(0).any(), key


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("name", ["outside", "inside"])
def test_checkpointing_reaches_the_context(make_model, sentences, name, reentrant):
    labels = sentences["decoder_input_ids"]
    given = {key: item for key, item in sentences.items() if key != "decoder_input_ids"}
    found = []
    for checkpointing in (False, True):
        model = make_model(name).train()
        if checkpointing:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": reentrant})
        model(**given, labels=labels).loss.backward()
        found.append({key: item.grad.clone() for key, item in model.named_parameters() if "context" in key})
    torch.testing.assert_close(found[0], found[1], atol=1e-6, rtol=1e-4)


def test_shared_weights_add_no_stack(make_model):
    own, shared = make_model("outside", layers=1), make_model("outside", share="weights")
    stack = [name for name, _ in own.named_parameters() if "context_stack" in name]
    assert stack
    assert not any("embed_tokens" in name for name in stack), "token embeddings are always shared"
    assert {name for name, _ in own.named_parameters()} - set(stack) == {name for name, _ in shared.named_parameters()}


@torch.no_grad()
def test_shared_weights_read_the_context_as_a_source(make_model, sentences):
    model = make_model("inside", share="weights")
    context, mask = sentences["context_input_ids"][:2], sentences["context_attention_mask"][:2]
    states = model.get_encoder()(context, context_input_ids=context, context_attention_mask=mask).context_states
    expected = model.get_encoder()(context, mask).last_hidden_state
    torch.testing.assert_close(states[mask.bool()], expected[mask.bool()])


@torch.no_grad()
@pytest.mark.parametrize("name", NAMES)
def test_its_heads_are_as_wide_as_the_models(make_model, sentences, name):
    model = make_model(name, changes={"head_dim": 5})
    attentions = [module for module in model.modules() if isinstance(module, CrossAttention)]
    assert len(attentions) > 2
    assert {module.head_dim for module in attentions} == {5}
    assert model(**sentences).logits.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_the_chosen_initialisation_has_its_matrices(make_model, name):
    model = make_model(name, changes={"initialization": {"use": "zoo-blocks/normal", "std": 0.5}})
    component = model.encoder.context_encoder or model.decoder.context_encoder
    own = list(matrices_of(component))
    assert {matrix.role for matrix in own} >= {"query", "key", "value", "attention-output"}
    for matrix in own:
        assert matrix.weight.std().item() == pytest.approx(0.5, rel=0.2), matrix.name
    drawn = {
        matrix.weight[0, 0].item() for part in (component, model.encoder, model.decoder) for matrix in matrices_of(part)
    }
    others = sum(1 for part in (model.encoder, model.decoder) for _ in matrices_of(part))
    # Every matrix has numbers of its own; the component's stand in one of the stacks too.
    assert len(drawn) == others


def test_the_two_stacks_begin_with_weights_of_their_own(make_model):
    model = make_model("outside")
    own, source = (stack.layers[0].self_attention.qkv.weight for stack in (model.encoder.context_stack, model.encoder))
    assert not torch.allclose(own, source, atol=1e-2)


def test_other_parts_have_the_weights_that_they_have_without_it(make_model):
    plain, other = make_model(None).state_dict(), make_model("inside").state_dict()
    assert all(torch.equal(other[name], weight) for name, weight in plain.items())


def test_a_model_without_one_refuses_a_context(make_model, sentences):
    model = make_model(None)
    assert not model.reads_context
    with pytest.raises(ValueError, match="this model has no context encoder"):
        model(**sentences)


def test_packed_rows_are_refused(make_model, sentences):
    packed = {"segment_ids": torch.ones(3, 6), "decoder_segment_ids": torch.ones(3, 5)}
    given = {name: item for name, item in sentences.items() if name != "attention_mask"}
    with pytest.raises(ValueError, match="packed rows have no context"):
        make_model()(**given, **packed)


@pytest.mark.parametrize("control", ["true", "shuffled", "ignored"])
@pytest.mark.parametrize("share", ["embeddings", "weights"])
def test_reading_the_context_is_among_the_operations_that_are_counted(make_model, share, control):
    source, target, context, width, inner = 6, 5, 9, 16, 32
    model = make_model("outside", share=share, context=control)
    with_context, without = forward_flops(model, source, target, context), forward_flops(model, source, target)
    # Two encoder layers over the context: projections, attention, feed-forward. The merging attention comes on top.
    reading = 2 * (8 * context * width**2 + 4 * context**2 * width + 4 * context * width * inner)
    merging = with_context.parts["encoder.context_encoder"]
    assert merging >= 4 * context * width**2
    assert with_context.total == without.total + reading + merging
    assert (with_context.context_tokens, without.context_tokens) == (context, 0)
    assert model.encoder.context_reader.options.context == control
    plain = make_model(None)
    assert forward_flops(plain, source, target, context) == forward_flops(plain, source, target)
