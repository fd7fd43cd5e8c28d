"""Gradient clipping against torch, the papers' formulas, and the definition of a norm."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from zoo_optimizers.clipping import AdaptiveClipping, NoClipping, NormClipping, ValueClipping
from zoo_optimizers.clipping_options import AdaptiveClippingOptions, PerGroupClippingOptions, ValueClippingOptions
from zoo_optimizers.options import NormClippingOptions
from zoo_optimizers.parameter_classes import class_of, output_names
from zoo_optimizers.per_group_clipping import PerGroupClipping

from zoo.spec.options import NoOptions
from zoo.training.contracts import Clipping, NamedParameters


def with_gradients(*gradients: list[float] | None) -> list[tuple[str, nn.Parameter]]:
    parameters = []
    for index, gradient in enumerate(gradients):
        parameter = nn.Parameter(torch.zeros(len(gradient or [0.0])))
        parameter.grad = None if gradient is None else torch.tensor(gradient)
        parameters.append((f"p{index}", parameter))
    return parameters


def test_gradients_over_the_bound_are_scaled_to_it_together() -> None:
    parameters = with_gradients([3.0, 0.0], [0.0, 4.0], None)
    done = NormClipping(NormClippingOptions(max_norm=2.0)).clip(parameters)
    assert done.norm.item() == pytest.approx(5.0)
    assert done.clipped.item() is True
    assert done.clipped_norm.item() == pytest.approx(2.0)
    torch.testing.assert_close(parameters[0][1].grad, torch.tensor([1.2, 0.0]))
    torch.testing.assert_close(parameters[1][1].grad, torch.tensor([0.0, 1.6]))


def test_gradients_within_the_bound_are_untouched() -> None:
    parameters = with_gradients([3.0], [4.0])
    done = NormClipping(NormClippingOptions(max_norm=5.1)).clip(parameters)
    assert done.clipped.item() is False
    assert [parameter.grad.item() for _, parameter in parameters] == [3.0, 4.0]


def test_it_agrees_with_torch() -> None:
    torch.manual_seed(0)
    ours = [(str(index), nn.Parameter(torch.zeros(7, 3))) for index in range(4)]
    for _, parameter in ours:
        parameter.grad = torch.randn(7, 3)
    theirs = [nn.Parameter(torch.zeros(7, 3)) for _ in ours]
    for (_, mine), other in zip(ours, theirs, strict=True):
        other.grad = mine.grad.clone()
    done = NormClipping(NormClippingOptions(max_norm=0.5)).clip(ours)
    norm = nn.utils.clip_grad_norm_(theirs, 0.5, foreach=False)
    torch.testing.assert_close(done.norm, norm)
    for (_, mine), other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.grad, other.grad)


def test_none_reports_the_norm_and_changes_nothing() -> None:
    parameters = with_gradients([300.0], [400.0], None)
    done = NoClipping(NoOptions()).clip(parameters)
    assert done.norm.item() == pytest.approx(500.0)
    assert done.clipped.item() is False
    assert parameters[0][1].grad.item() == 300.0


def random_parameters(*shapes: tuple[int, ...], names: list[str] | None = None) -> list[tuple[str, nn.Parameter]]:
    """Weights and gradients in float64, drawn from a generator of their own."""
    generator = torch.Generator().manual_seed(5)
    parameters = []
    for index, shape in enumerate(shapes):
        parameter = nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64))
        parameter.grad = torch.randn(shape, generator=generator, dtype=torch.float64)
        parameters.append((names[index] if names else f"p{index}.weight", parameter))
    return parameters


def norm_of(parameters: NamedParameters) -> float:
    squares = [parameter.grad.square().sum().item() for _, parameter in parameters if parameter.grad is not None]
    return math.sqrt(sum(squares))


@pytest.mark.parametrize("bound", [0.5, 100.0])
def test_value_clipping_agrees_with_torch(bound: float) -> None:
    ours, theirs = random_parameters((7, 3), (5,)), random_parameters((7, 3), (5,))
    done = ValueClipping(ValueClippingOptions(max_value=bound)).clip(ours)
    assert done.norm.item() == pytest.approx(norm_of(theirs))
    nn.utils.clip_grad_value_([parameter for _, parameter in theirs], bound, foreach=False)
    for (_, mine), (_, other) in zip(ours, theirs, strict=True):
        assert torch.equal(mine.grad, other.grad)
    assert done.clipped_norm.item() == pytest.approx(norm_of(theirs))
    assert done.clipped.item() is (bound == 0.5)


def paper_agc(weights: np.ndarray, gradient: np.ndarray, ratio: float, eps: float) -> np.ndarray:
    """Brock et al. 2021, section 4.1, unit by unit."""
    clipped = gradient.copy()
    for i in range(len(weights)):
        size, norm = max(np.sqrt((weights[i] ** 2).sum()), eps), np.sqrt((gradient[i] ** 2).sum())
        if norm / size > ratio:
            clipped[i] = ratio * size / norm * gradient[i]
    return clipped


@pytest.mark.parametrize("ratio", [0.01, 1.0, 100.0])
def test_adaptive_clipping_follows_the_paper_unit_by_unit(ratio: float) -> None:
    parameters = random_parameters((6, 4), (3, 2, 5))
    parameters[0][1].data[2] = 0.0  # below eps
    expected = [
        paper_agc(parameter.detach().numpy(), parameter.grad.numpy(), ratio, 1e-3) for _, parameter in parameters
    ]
    changed = any(not np.array_equal(p.grad.numpy(), e) for (_, p), e in zip(parameters, expected, strict=True))
    done = AdaptiveClipping(AdaptiveClippingOptions(ratio=ratio)).clip(parameters)
    for (_, parameter), right in zip(parameters, expected, strict=True):
        np.testing.assert_allclose(parameter.grad.numpy(), right, rtol=1e-12)
    assert done.clipped.item() is changed
    assert done.clipped_norm.item() == pytest.approx(norm_of(parameters))


def test_a_vector_is_one_unit_of_adaptive_clipping() -> None:
    parameters = random_parameters((5,))
    parameter = parameters[0][1]
    size, direction = parameter.detach().norm(), parameter.grad / parameter.grad.norm()
    AdaptiveClipping(AdaptiveClippingOptions(ratio=0.02)).clip(parameters)
    torch.testing.assert_close(parameter.grad, 0.02 * size * direction)


UNTIED = [
    "encoder.embed_tokens.weight",
    "decoder.embed_tokens.weight",
    "decoder.layers.0.norms.0.bias",
    "lm_head.weight",
]
TIED = [
    "encoder.embed_tokens.weight",
    "decoder.embed_tokens.weight",
    "decoder.layers.0.norms.0.bias",
    "encoder.up.weight",
]
SHARED = ["encoder.embed_tokens.weight", "encoder.up.weight", "encoder.up.bias", "encoder.down.weight"]


@pytest.mark.parametrize(
    ("names", "exclude", "kept"),
    [
        (UNTIED, ["output"], {"lm_head.weight"}),
        (TIED, ["output"], {"decoder.embed_tokens.weight"}),
        (SHARED, ["output"], {"encoder.embed_tokens.weight"}),
        (UNTIED, [], set()),
        (UNTIED, ["embeddings"], {"encoder.embed_tokens.weight", "decoder.embed_tokens.weight"}),
        (UNTIED, ["vectors"], {"decoder.layers.0.norms.0.bias"}),
    ],
)
def test_adaptive_clipping_leaves_out_what_it_is_told_to(names: list[str], exclude: list[str], kept: set[str]) -> None:
    shapes = [(4,) if name.endswith("bias") else (4, 3) for name in names]
    parameters = random_parameters(*shapes, names=names)
    before = {name: parameter.grad.clone() for name, parameter in parameters}
    AdaptiveClipping(AdaptiveClippingOptions(ratio=1e-3, exclude=exclude)).clip(parameters)
    assert {name for name, parameter in parameters if torch.equal(parameter.grad, before[name])} == kept


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("encoder.embed_tokens.weight", "embeddings"),
        ("model.shared.weight", "embeddings"),
        ("lm_head.weight", "output"),
        ("encoder.layers.0.self_attention.qkv.weight", "attention"),
        ("decoder.layers.3.cross_attention.kv.bias", "attention"),
        ("decoder.layers.0.self_attention.query_norm.weight", "norms"),
        ("decoder.layers.0.feedforward.up.weight", "feedforward"),
        ("decoder.layers.0.block.norms.2.bias", "norms"),
        ("encoder.position.table", "other"),
    ],
)
def test_the_name_of_a_parameter_says_its_class(name: str, part: str) -> None:
    assert class_of(name) == part


def test_there_is_no_output_where_nothing_is_named_like_one() -> None:
    assert output_names(random_parameters((2, 2))) == set()


def test_each_group_is_clipped_by_its_own_norm() -> None:
    names = ["embed_tokens.weight", "layers.0.self_attention.qkv.weight", "layers.0.self_attention.out.weight", "bias"]
    ours = random_parameters((9, 4), (4, 4), (4, 4), (4,), names=names)
    theirs = random_parameters((9, 4), (4, 4), (4, 4), (4,), names=names)
    options = PerGroupClippingOptions.model_validate(
        {"each": {"use": "norm", "max_norm": 0.5}, "attention": {"use": "norm", "max_norm": 2.0}, "other": "none"}
    )
    done = PerGroupClipping(options).clip(ours)
    nn.utils.clip_grad_norm_(theirs[0][1], 0.5)
    nn.utils.clip_grad_norm_([theirs[1][1], theirs[2][1]], 2.0)
    for (name, mine), (_, other) in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.grad, other.grad, msg=name)
    assert list(done.groups) == ["embeddings", "attention", "other"]
    assert [group.clipped.item() for group in done.groups.values()] == [True, True, False]
    assert done.groups["attention"].clipped_norm.item() == pytest.approx(2.0, rel=1e-5)
    assert done.clipped.item() is True
    assert done.clipped_norm.item() == pytest.approx(norm_of(theirs))


CLIPPINGS = [
    NormClipping(NormClippingOptions()),
    NoClipping(NoOptions()),
    ValueClipping(ValueClippingOptions()),
    AdaptiveClipping(AdaptiveClippingOptions()),
    PerGroupClipping(PerGroupClippingOptions()),
]


@pytest.mark.parametrize("clipping", CLIPPINGS, ids=lambda clipping: type(clipping).__name__)
@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_a_gradient_that_is_not_finite_shows_in_the_norm(clipping: Clipping, bad: float) -> None:
    assert not math.isfinite(clipping.clip(with_gradients([1.0], [bad])).norm.item())
