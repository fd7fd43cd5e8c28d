"""Weighted sums of encoder outputs against their equations in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from zoo_fusion.free_scalar import FreeScalar
from zoo_fusion.layer_attention import FineGrained, Transparent
from zoo_fusion.options import FreeScalarOptions, LayerAttentionOptions

from zoo.errors import InputError
from zoo.models.contracts import FusionContext

CONTEXT = FusionContext(encoder_layers=3, decoder_layers=2, d_model=6)
Array = NDArray[np.float64]


@pytest.fixture
def states() -> torch.Tensor:
    return torch.randn(2, 4, 5, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def scattered(fusion: Any) -> Any:
    """The fusion in float64, evaluating, with weights off their initial values."""
    fusion = fusion.double().eval()
    draw = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in fusion.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=draw, dtype=torch.float64))
    return fusion


def numbers(tensor: torch.Tensor) -> Array:
    return tensor.detach().numpy()


def softmax(logits: Array) -> Array:
    e = np.exp(logits - logits.max(0))
    return e / e.sum(0)


def layer_norm(x: Array, norm: torch.nn.LayerNorm) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + norm.eps)
    return numbers(norm.weight) * scaled + numbers(norm.bias)


def weighted(weights: Array, states: Array, first: int = 0) -> Array:
    """``sum_l w_l * h_l``, term by term."""
    total = np.zeros((2, 5, 6))
    for index, weight in enumerate(weights):
        total += weight * states[:, first + index]
    return total


def memory(fusion: Any, states: torch.Tensor, layer: int) -> Array:
    found = fusion.memory(states, None, layer)
    assert found.key_source is found.value_source
    return numbers(found.value_source)


@pytest.mark.parametrize("layer", [0, 1])
def test_free_weights_are_used_as_they_are(states, layer):
    fusion = scattered(FreeScalar(FreeScalarOptions(), CONTEXT))
    expected = weighted(numbers(fusion.weight[layer]), states.numpy())
    np.testing.assert_allclose(memory(fusion, states, layer), expected, atol=1e-12)


def test_each_layer_is_normalised_before_it_is_weighted(states):
    fusion = scattered(FreeScalar(FreeScalarOptions(normalize_layers=True), CONTEXT))
    normed = np.stack([layer_norm(states[:, n].numpy(), fusion.norms[n]) for n in range(4)], axis=1)
    np.testing.assert_allclose(memory(fusion, states, 1), weighted(numbers(fusion.weight[1]), normed), atol=1e-12)


def test_the_softmax_control_has_weights_that_sum_to_one(states):
    fusion = scattered(FreeScalar(FreeScalarOptions(weights="softmax"), CONTEXT))
    expected = weighted(softmax(numbers(fusion.weight[1])), states.numpy())
    np.testing.assert_allclose(memory(fusion, states, 1), expected, atol=1e-12)


def test_embeddings_may_be_left_out(states):
    fusion = scattered(FreeScalar(FreeScalarOptions(include_embeddings=False), CONTEXT))
    assert fusion.weight.shape == (2, 3)
    expected = weighted(numbers(fusion.weight[0]), states.numpy(), first=1)
    np.testing.assert_allclose(memory(fusion, states, 0), expected, atol=1e-12)
    assert not fusion.contributions(states, 0)[0].any()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [0.25, 0.25, 0.25, 0.25]),
        ({"prior": 2.0}, [0.25, 0.25, 0.25, 2.25]),
        ({"initial": 0.0, "prior": [0.0, 0.5, 1.0, 1.5]}, [0.0, 0.5, 1.0, 1.5]),
        ({"weights": "softmax"}, [0.0, 0.0, 0.0, 0.0]),
        ({"include_embeddings": False, "initial": 1.0}, [1.0, 1.0, 1.0]),
    ],
)
def test_weights_start_at_the_prior(options, expected):
    fusion = FreeScalar(FreeScalarOptions(**options), CONTEXT)
    assert fusion.weight.tolist() == [expected, expected]


def test_a_prior_of_another_length_is_refused():
    with pytest.raises(InputError, match="expected 4 numbers, one for each encoder output that is read, found 2"):
        FreeScalar(FreeScalarOptions(prior=[1.0, 2.0]), CONTEXT)


def test_embeddings_that_are_not_read_have_no_place():
    with pytest.raises(ValidationError, match="the embeddings are not read"):
        FreeScalarOptions(include_embeddings=False, embeddings_before_positions=True)


@pytest.mark.parametrize("layer", [0, 1])
def test_transparent_attention_is_its_equation(states, layer):
    fusion = scattered(Transparent(LayerAttentionOptions(), CONTEXT))
    mean = weighted(softmax(numbers(fusion.logits[layer])), states.numpy())
    np.testing.assert_allclose(memory(fusion, states, layer), layer_norm(mean, fusion.norms[layer]), atol=1e-12)


def test_transparent_attention_begins_with_all_layers_alike(states):
    fusion = Transparent(LayerAttentionOptions(normalize=False), CONTEXT).double().eval()
    np.testing.assert_allclose(memory(fusion, states, 0), states.numpy().mean(1), atol=1e-12)


def test_fine_grained_attention_weighs_every_feature_by_itself(states):
    fusion = scattered(FineGrained(LayerAttentionOptions(), CONTEXT))
    weights = softmax(numbers(fusion.logits[1]))
    np.testing.assert_allclose(weights.sum(0), np.ones(6))
    mean = weighted(weights, states.numpy())
    np.testing.assert_allclose(memory(fusion, states, 1), layer_norm(mean, fusion.norms[1]), atol=1e-12)


def test_dropout_on_the_weights_is_for_training_alone(states):
    fusion = scattered(Transparent(LayerAttentionOptions(dropout=0.5, normalize=False), CONTEXT))
    still = memory(fusion, states, 0)
    np.testing.assert_array_equal(memory(fusion, states, 0), still)
    fusion.train()
    torch.manual_seed(0)
    found = {fusion.weights(0).detach().numpy().tobytes(): fusion.weights(0) for _ in range(20)}
    assert len(found) > 1
    for weights in found.values():
        assert weights.sum().item() == pytest.approx(1)
    # Of logits s a share is zeroed and the others are doubled, before the softmax.
    logits = numbers(fusion.logits[0]) + 1 / 4
    possible = [softmax(2 * logits * np.array([m >> n & 1 for n in range(4)])) for m in range(16)]
    for weights in found.values():
        assert min(np.abs(numbers(weights) - one).max() for one in possible) < 1e-12


@pytest.mark.parametrize("normalize", [False, True])
def test_an_omitted_layer_leaves_the_others_their_weights(states, normalize):
    fusion = scattered(Transparent(LayerAttentionOptions(normalize=normalize), CONTEXT))
    weights = softmax(numbers(fusion.logits[0]))
    weights[2] = 0
    fusion.omitted = frozenset({2})
    expected = weighted(weights, states.numpy())
    expected = layer_norm(expected, fusion.norms[0]) if normalize else expected
    np.testing.assert_allclose(memory(fusion, states, 0), expected, atol=1e-12)
