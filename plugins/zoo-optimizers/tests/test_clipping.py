"""Gradient clipping against torch and against the definition of a norm."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from zoo_optimizers.clipping import NoClipping, NormClipping
from zoo_optimizers.options import NormClippingOptions

from zoo.spec.options import NoOptions


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


@pytest.mark.parametrize("clipping", [NormClipping(NormClippingOptions()), NoClipping(NoOptions())])
def test_a_gradient_that_is_not_finite_shows_in_the_norm(clipping: NormClipping | NoClipping) -> None:
    assert not math.isfinite(clipping.clip(with_gradients([1.0], [math.inf])).norm.item())
