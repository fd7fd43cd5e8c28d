"""The controls: another's context, noise, and a context that is left out afterwards."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from zoo.spec.context import ContextOptions


def states_of(model, sentences, **changes):
    given = {name: item for name, item in sentences.items() if name != "decoder_input_ids"}
    with torch.no_grad():
        return model.get_encoder()(**(given | changes))


@torch.no_grad()
def test_shuffled_context_is_that_of_the_next_example(make_model, sentences):
    true, shuffled = make_model("inside"), make_model("inside", context="shuffled")
    rolled = {name: sentences[name].roll(1, 0) for name in ("context_input_ids", "context_attention_mask")}
    torch.testing.assert_close(shuffled(**sentences).logits, true(**(sentences | rolled)).logits)
    assert not torch.allclose(shuffled(**sentences).logits, true(**sentences).logits, atol=1e-3)
    assert torch.equal(shuffled(**sentences).logits, shuffled(**sentences).logits)


@torch.no_grad()
def test_in_training_no_example_has_its_own_context(make_model, sentences):
    shuffled = make_model("inside", context="shuffled").train()
    own = states_of(make_model("inside"), sentences).context_mask
    assert len({tuple(row.tolist()) for row in own}) == 3, "the masks tell the contexts apart"
    torch.manual_seed(0)
    seen = set()
    for _ in range(20):
        mask = states_of(shuffled, sentences).context_mask
        assert not (mask == own).all(-1).any()
        seen.add(mask.numpy().tobytes())
    assert len(seen) == 2  # the two cyclic shifts of three


@torch.no_grad()
def test_a_batch_of_one_has_no_other_context(make_model, sentences):
    model = make_model("outside", context="shuffled")
    one = {name: item[:1] for name, item in sentences.items()}
    bare = {name: item for name, item in one.items() if not name.startswith("context")}
    assert torch.equal(model(**one).logits, model(**bare).logits)


@torch.no_grad()
def test_an_ignored_context_is_read_in_training_alone(make_model, sentences):
    model = make_model("outside", context="ignored")
    other = sentences | {"context_input_ids": (sentences["context_input_ids"].flip(-1) + 1) % 53}
    assert torch.equal(model(**sentences).logits, model(**other).logits)
    model.train()
    assert not torch.allclose(model(**sentences).logits[1], model(**other).logits[1], atol=1e-3)


def test_noise_has_no_stack_and_its_own_deviation(make_model, sentences):
    model = make_model("inside", context="gaussian", noise=0.3)
    assert model.encoder.context_stack is None
    many = {"context_input_ids": torch.full((3, 60), 5), "context_attention_mask": torch.ones(3, 60)}
    model.train()
    first, second = (states_of(model, sentences, **many).context_states for _ in range(2))
    assert first.std().item() == pytest.approx(0.3, rel=0.05)
    assert not torch.allclose(first, second)


@torch.no_grad()
def test_noise_is_one_draw_outside_training(make_model, sentences):
    """Alike for every example and batch, so that an output does not depend on its batch."""
    model = make_model("outside", context="gaussian")
    batch = model(**sentences).logits
    torch.testing.assert_close(model(**sentences).logits, batch, atol=0, rtol=0)
    single = {name: item[:1] for name, item in sentences.items()}
    single["context_input_ids"] = single["context_input_ids"][:, :3]
    single["context_attention_mask"] = single["context_attention_mask"][:, :3]
    torch.testing.assert_close(model(**single).logits, batch[:1], atol=2e-5, rtol=1e-4)
    other = sentences | {"context_input_ids": sentences["context_input_ids"] + 1}
    assert torch.equal(model(**other).logits, batch), "what the context says was read"


@pytest.mark.parametrize("options", [{"share": "weights"}, {"context": "gaussian"}])
def test_layers_of_a_stack_that_is_not_there_are_refused(options):
    with pytest.raises(ValidationError, match="the context has no stack of its own"):
        ContextOptions(layers=2, **options)
