"""Initialisations in a model: which matrix starts how."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from zoo.models import ZooForConditionalGeneration, assemble, weights_hash
from zoo.models.initialization import matrices_of
from zoo.spec import resolve_model

WIDTH, HIDDEN, ENCODER, DECODER = 64, 96, 3, 2
XAVIER = math.sqrt(2 / (WIDTH + WIDTH))
XAVIER_FEED = math.sqrt(2 / (WIDTH + HIDDEN))


def _model(initialization: Any = None, **changes: Any) -> ZooForConditionalGeneration:
    section = {
        "d_model": WIDTH,
        "heads": 4,
        "encoder": {"layers": ENCODER},
        "decoder": {"layers": DECODER},
        "position": "zoo-positional/none",
        "block": "zoo-blocks/post-norm",
        "normalization": "zoo-blocks/layer-norm",
        "feedforward": {"use": "zoo-blocks/glu", "width": HIDDEN, "bias": True},
        "initialization": initialization,
        "fusion": "zoo-fusion/top",
        "max_positions": 16,
        **changes,
    }
    return assemble(resolve_model(section), 20, seed=5)


def _matrices(model: ZooForConditionalGeneration) -> dict[str, tuple[str, Tensor]]:
    """Role and weight by full name."""
    return {
        f"{side}.{index}.{matrix.name}": (matrix.role, matrix.weight)
        for side in ("encoder", "decoder")
        for index, layer in enumerate(getattr(model, side).layers)
        for matrix in matrices_of(layer)
    }


def _scales(model: ZooForConditionalGeneration) -> dict[tuple[str, str], float]:
    """Root mean square of all matrices of a side and role."""
    drawn: dict[tuple[str, str], list[Tensor]] = {}
    for name, (role, weight) in _matrices(model).items():
        drawn.setdefault((name.split(".")[0], role), []).append(weight.flatten())
    return {key: torch.cat(weights).square().mean().sqrt().item() for key, weights in drawn.items()}


@pytest.mark.parametrize("distribution", ["uniform", "normal"])
def test_xavier_has_the_variance_of_the_paper(distribution: str) -> None:
    scales = _scales(_model({"use": "xavier", "gain": 0.5, "distribution": distribution}))
    for (side, role), scale in scales.items():
        expected = 0.5 * (XAVIER_FEED if role == "feedforward" else XAVIER)
        assert scale == pytest.approx(expected, rel=0.04), (side, role)


def test_xavier_alone_draws_as_components_do_by_themselves() -> None:
    """Same bounds and variance, other numbers."""
    own, xavier = _matrices(_model()), _matrices(_model("xavier"))
    for name, (_, weight) in xavier.items():
        bound = math.sqrt(6 / sum(weight.shape))
        for each in (weight, own[name][1]):
            assert 0.98 * bound < each.abs().max() <= bound


@pytest.mark.parametrize(
    ("initialization", "expected"),
    [
        ("normal", 0.02),
        ({"use": "normal", "std": 0.3}, 0.3),
        ("small", math.sqrt(2 / (WIDTH + 4 * WIDTH))),
    ],
)
def test_one_scale_for_every_matrix(initialization: Any, expected: float) -> None:
    for key, scale in _scales(_model(initialization)).items():
        assert scale == pytest.approx(expected, rel=0.04), key


def test_small_is_xavier_where_the_feed_forward_layer_is_four_times_as_wide() -> None:
    wide: dict[str, Any] = {"feedforward": {"use": "zoo-blocks/mlp"}}
    small = _matrices(_model("small", **wide))
    xavier = _matrices(_model({"use": "xavier", "distribution": "normal"}, **wide))
    for name, (role, weight) in small.items():
        factor = 1.0 if role == "feedforward" else math.sqrt((WIDTH + WIDTH) / (WIDTH + 4 * WIDTH))
        torch.testing.assert_close(weight, xavier[name][1] * factor, msg=name)


def test_deep_norm_scales_value_output_and_feed_forward_by_beta_and_spares_query_and_key() -> None:
    """Wang et al. 2022, figure 2."""
    deep, xavier = _matrices(_model("deep-norm")), _matrices(_model({"use": "xavier", "distribution": "normal"}))
    beta = {"encoder": 0.87 * (ENCODER**4 * DECODER) ** (-1 / 16), "decoder": (12 * DECODER) ** (-1 / 4)}
    for name, (role, weight) in deep.items():
        gain = 1.0 if role in {"query", "key"} else beta[name.split(".")[0]]
        torch.testing.assert_close(weight, gain * xavier[name][1], msg=name)


def test_depth_scaled_divides_each_stack_by_the_root_of_its_own_depth() -> None:
    own, scaled = _matrices(_model()), _matrices(_model("depth-scaled"))
    normal, both = _matrices(_model("normal")), _matrices(_model({"use": "depth-scaled", "of": "normal"}))
    for name in own:
        root = math.sqrt(ENCODER if name.startswith("encoder") else DECODER)
        torch.testing.assert_close(scaled[name][1] * root, own[name][1], msg=name)
        torch.testing.assert_close(both[name][1] * root, normal[name][1], msg=name)


@pytest.mark.parametrize("name", ["xavier", "normal", "small", "deep-norm", "depth-scaled"])
def test_biases_normalisations_and_embeddings_start_as_they_did(name: str) -> None:
    plain, other = _model(), _model(name)
    linear = {
        f"{prefix}.weight"
        for prefix, module in plain.named_modules()
        if isinstance(module, nn.Linear) and ".layers." in prefix
    }
    state = other.state_dict()
    for key, weight in plain.state_dict().items():
        assert torch.equal(weight, state[key]) == (key not in linear), key
    assert weights_hash(other) == weights_hash(_model(name)), "not repeatable"


def test_a_matrix_that_two_models_have_starts_alike_in_both() -> None:
    first = _model("deep-norm")
    second = _model("deep-norm", block="zoo-blocks/deep-norm", feedforward={"use": "zoo-blocks/mlp", "width": HIDDEN})
    found, others = _matrices(first), _matrices(second)
    shared = found.keys() & others.keys()
    assert len(shared) == len(others)
    assert all(torch.equal(found[name][1], others[name][1]) for name in shared)
