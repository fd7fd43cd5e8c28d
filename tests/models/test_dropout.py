"""Dropout of whole tokens and of whole heads: what is left out, what is scaled up, and when."""

from __future__ import annotations

import pytest
import torch

from zoo.models.attention import CrossAttention, SelfAttention, View
from zoo.models.contracts import Position, StackContext
from zoo.spec.options import NoOptions

LANGUAGE_MODEL = {"architecture": "causal-lm", "encoder": None, "fusion": None}


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        yield


@pytest.mark.parametrize("stack", ["encoder", "decoder"])
def test_word_dropout_leaves_out_whole_tokens_and_keeps_their_positions(make_model, stack):
    model = make_model(word_dropout=0.25, dropout=0.0)
    part = getattr(model, stack)
    embedded, positions = torch.ones(40, 50, 32), torch.arange(50)[None]
    added = part.position.embed(torch.zeros(1, 50, 32), positions)
    torch.testing.assert_close(part.place(embedded, positions) - added, embedded)
    left = part.train().place(embedded, positions) - added
    gone = left.abs().amax(-1) < 1e-5
    torch.testing.assert_close(left, (4 / 3) * (~gone[..., None]).float().expand_as(left), rtol=0, atol=1e-5)
    assert gone.float().mean().item() == pytest.approx(0.25, abs=0.04)  # four standard deviations of 2,000 draws
    assert gone.float().mean(1).std() > 0, "not the same share in every sentence"


@pytest.mark.parametrize("kind", [SelfAttention, CrossAttention])
def test_head_dropout_leaves_out_whole_heads_of_an_example(kind):
    attention = kind(32, 4, bias=False, dropout=0.0, layer=0, head_dropout=0.5).eval()
    with torch.no_grad():
        attention.out.weight.copy_(torch.eye(32))
    x = torch.randn(60, 3, 32)
    places = torch.arange(3)[None]
    view = View(places, places, None, causal=False, backend="sdpa")

    def heads() -> torch.Tensor:
        found = attention(x, x, x, view) if kind is CrossAttention else attention(x, view, plain_position())
        return found.unflatten(-1, (4, 8)).transpose(1, 2)  # [B, H, L, Dh]

    whole = heads()
    attention.train()
    left = heads()
    gone = left.flatten(2).abs().amax(-1) == 0  # [B, H]
    torch.testing.assert_close(left, 2 * whole * (~gone)[..., None, None])
    assert gone.float().mean().item() == pytest.approx(0.5, abs=0.13)  # four standard deviations of 240 draws
    assert len({tuple(row) for row in gone.tolist()}) > 4, "each example draws its own"


def plain_position() -> Position:
    return Position(
        NoOptions(), StackContext(side="encoder", layers=1, d_model=32, heads=4, max_positions=10, head_width=None)
    )


@pytest.mark.parametrize("option", ["head_dropout", "word_dropout"])
@pytest.mark.parametrize("changes", [{}, LANGUAGE_MODEL], ids=["encoder-decoder", "causal-lm"])
def test_it_acts_in_every_layer_that_there_is_and_in_training_alone(make_model, option, changes):
    model = make_model(**{option: 0.5, "dropout": 0.0, **changes})
    ids = torch.randint(4, 20, (4, 6))
    given = {"input_ids": ids} if changes else {"input_ids": ids, "decoder_input_ids": ids}
    with torch.no_grad():
        assert torch.equal(model(**given).logits, model(**given).logits)
        model.train()
        assert not torch.equal(model(**given).logits, model(**given).logits)
    if option == "head_dropout":
        found = [module for module in model.modules() if isinstance(module, (SelfAttention, CrossAttention))]
        assert found
        assert {module.head_dropout for module in found} == {0.5}


def test_specs_from_before_keep_their_plain_form(make_section):
    plain = make_section("zoo-positional/none").plain()
    assert "head_dropout" not in plain
    assert "word_dropout" not in plain
    assert make_section("zoo-positional/none", word_dropout=0.1).plain()["word_dropout"] == 0.1
