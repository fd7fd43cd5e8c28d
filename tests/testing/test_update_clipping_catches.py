"""The kit fails update clippings that break their contract, and optimizers that promise them what they have not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim import Optimizer

from zoo.testing import ComponentSuite, OptimizerSuite, UpdateClippingSuite
from zoo.training.contracts import NamedParameters, OptimizerFactory, UpdateClipping

Installed = Callable[..., ComponentSuite]
Run = Callable[..., None]


class DividesByNothing(UpdateClipping):
    """Has no floor under the second moment."""

    def scale(self, gradient: Tensor, second_moment: Tensor, eps: float) -> Tensor:
        return (1 / (gradient.square() / second_moment).mean().sqrt()).clamp(max=1)


class Enlarges(UpdateClipping):
    """Makes small steps larger."""

    def scale(self, gradient: Tensor, second_moment: Tensor, eps: float) -> Tensor:
        return 1 / gradient.norm().clamp(min=eps)


class InPlace(UpdateClipping):
    """Writes to the gradient."""

    def scale(self, gradient: Tensor, second_moment: Tensor, eps: float) -> Tensor:
        return 1 / gradient.square_().mean().clamp(min=1)


def test_broken_update_clippings_are_caught(installed: Installed, run: Run) -> None:
    with pytest.raises(AssertionError):
        run(installed(UpdateClippingSuite, DividesByNothing), "test_no_gradient_leaves_the_step_as_it_is")
    with pytest.raises(AssertionError):
        run(
            installed(UpdateClippingSuite, Enlarges),
            "test_the_scale_is_above_nothing_and_at_most_one",
            torch.float32,
            1e-12,
            1.0,
        )
    with pytest.raises(AssertionError):
        run(installed(UpdateClippingSuite, InPlace), "test_inputs_and_global_state_are_left_alone")


class LargestMoment(OptimizerFactory):
    """Has, where its record says there is a mean of squares, their maximum over time."""

    def create(self, parameters: NamedParameters) -> Optimizer:
        return torch.optim.AdamW([parameter for _, parameter in parameters], lr=0.1, amsgrad=True)


def test_an_optimizer_whose_second_moment_is_another_is_caught(installed: Installed, run: Run) -> None:
    name = "test_update_clipping_can_build_on_what_the_record_says"
    suite: Any = installed(OptimizerSuite, LargestMoment, traits={"second_moment": "exp_avg"})
    with pytest.raises(AssertionError, match="second moment of step 1"):
        run(suite, name)
