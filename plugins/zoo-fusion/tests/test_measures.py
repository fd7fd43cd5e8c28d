"""Effective shares and omissions against their definitions."""

from __future__ import annotations

import pytest
import torch
from zoo_fusion.measures import layer_shares, omission_losses, omitting


@pytest.fixture
def inputs(sentences):
    return {name: sentences[name] for name in ("input_ids", "attention_mask")}


@pytest.fixture
def taught(sentences):
    labels = torch.randint(4, 53, (2, 5), generator=torch.Generator().manual_seed(0))
    labels[1, 3:] = -100
    return sentences | {"labels": labels}


@pytest.mark.parametrize("head_dim", [8, 5, 20])
def test_shares_are_norms_of_weighted_value_vectors(make_model, inputs, head_dim):
    """``||w_l W_V h_l||`` over their sum, token by token, averaged over the ten real tokens."""
    model = make_model("zoo-fusion/free-scalar", head_dim=head_dim)
    found = layer_shares(model, inputs)
    states = model.get_encoder()(**inputs).layer_states.detach()
    for k, layer in enumerate(model.decoder.layers):
        value = layer.cross_attention.kv.weight.detach()[2 * head_dim :].double()
        weight = model.decoder.fusion.weight.detach()[k].double()
        rows = []
        for b, length in ((0, 6), (1, 4)):
            for s in range(length):
                norms = torch.stack([(weight[n] * (value @ states[b, n, s].double())).norm() for n in range(3)])
                rows.append(norms / norms.sum())
        torch.testing.assert_close(found[k].double(), torch.stack(rows).mean(0), atol=1e-6, rtol=1e-5)


def test_shares_do_not_change_with_a_scale_moved_from_state_to_weight(make_model, inputs):
    """What raw weights cannot say: the same function, weights ten times larger."""
    model = make_model({"use": "zoo-fusion/free-scalar", "normalize_layers": True})
    before, weights = layer_shares(model, inputs), model.decoder.fusion.weight.detach().clone()
    with torch.no_grad():
        model.decoder.fusion.norms[1].weight.div_(10)
        model.decoder.fusion.norms[1].bias.div_(10)
        model.decoder.fusion.weight[:, 1] *= 10
    assert not torch.allclose(model.decoder.fusion.weight, weights)
    torch.testing.assert_close(layer_shares(model, inputs), before)


def test_a_model_that_reads_the_top_takes_all_from_it(make_model, inputs):
    torch.testing.assert_close(layer_shares(make_model(), inputs), torch.tensor([[0.0, 0.0, 1.0]] * 2))


@pytest.mark.parametrize("fusion", ["transparent", "fine-grained"])
def test_shares_of_normalised_sums_add_up(make_model, inputs, fusion):
    shares = layer_shares(make_model(f"zoo-fusion/{fusion}"), inputs)
    assert shares.shape == (2, 3)
    torch.testing.assert_close(shares.sum(-1), torch.ones(2))
    assert shares.min() > 0.02


@torch.no_grad()
def test_omission_is_the_loss_of_a_model_with_that_weight_at_zero(make_model, taught):
    model = make_model("zoo-fusion/free-scalar")
    found, whole = omission_losses(model, taught), model(**taught).loss
    for layer in range(3):
        other = make_model("zoo-fusion/free-scalar")
        other.decoder.fusion.weight[:, layer] = 0
        torch.testing.assert_close(found[layer], other(**taught).loss - whole)
    assert found.abs().min() > 1e-4


@torch.no_grad()
def test_nothing_is_left_omitted(make_model, taught):
    model = make_model("zoo-fusion/transparent").train()
    omission_losses(model, taught)
    assert model.training
    with pytest.raises(RuntimeError, match="interrupted"), omitting(model, 0):
        raise RuntimeError("interrupted")
    assert model.decoder.fusion.omitted == frozenset()


def test_an_output_that_does_not_exist_is_refused(make_model):
    with pytest.raises(ValueError, match="encoder output 3: expected 0 to 2"), omitting(make_model(), 3):
        pass


@torch.no_grad()
def test_without_the_top_the_standard_model_sees_no_source(make_model, taught):
    model = make_model()
    with omitting(model, 2):
        left = model(**taught).logits
        other = model(**(taught | {"input_ids": taught["input_ids"].flip(0)})).logits
    torch.testing.assert_close(left, other)
    assert omission_losses(model, taught)[:2].tolist() == [0, 0]
