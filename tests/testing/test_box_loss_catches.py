"""The kit fails box losses that break their contract."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from zoo.models.boxes.contracts import BoxLoss
from zoo.spec.options import Options
from zoo.testing import BoxLossSuite, ComponentSuite

Installed = Callable[..., ComponentSuite]
Run = Callable[..., None]


class Overlap(BoxLoss):
    """The textbook's IoU loss, which divides by nothing where both boxes are points."""

    bounds = (0.0, 1.0)

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        if predicted.dtype in (torch.float16, torch.bfloat16):
            predicted, target = predicted.float(), target.float()
        low = torch.maximum(predicted[..., :2], target[..., :2])
        sides = (torch.minimum(predicted[..., 2:], target[..., 2:]) - low).clamp(min=0)
        areas = [(boxes[..., 2:] - boxes[..., :2]).prod(-1) for boxes in (predicted, target)]
        return 1 - sides.prod(-1) / (areas[0] + areas[1] - sides.prod(-1))


class Reduced(Overlap):
    """Reduces, which is the host's part."""

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        return super().forward(predicted, target).mean()


class Asymmetric(Overlap):
    """Divides by the target's area alone, and costs more than 1 or less than nothing."""

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        areas = [(boxes[..., 2:] - boxes[..., :2]).prod(-1) for boxes in (predicted, target)]
        return super().forward(predicted, target) * (areas[0] / areas[1])


class Crosses(Overlap):
    """Knows of the boxes beside each."""

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        loss = super().forward(predicted, target)
        return loss * loss.mean()


class Detached(Overlap):
    """Weighs itself, and says that its gradient is exact."""

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        loss = super().forward(predicted, target)
        return loss * loss.detach()


class WrongWay(Overlap):
    """Rewards boxes that lie apart."""

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        return 1 - super().forward(predicted, target)


class Absolute(Overlap):
    """Weighs pixels, and says that neither unit nor place matters."""

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        return super().forward(predicted, target) * torch.tanh(target.abs().sum(-1))


class Counts(Overlap):
    """Counts its calls, a matcher's included."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(predicted, target)


class ForListsAlone(Overlap):
    """Cannot be asked for pairs."""

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        return super().forward(predicted.reshape(-1, 4), target.expand_as(predicted).reshape(-1, 4))


def test_a_loss_that_is_not_finite_on_points_is_caught(installed: Installed, run: Run) -> None:
    suite = installed(BoxLossSuite, Overlap)
    run(suite, "test_no_box_is_better_than_the_target_itself")
    run(suite, "test_gradients_are_the_derivatives_where_claimed")
    with pytest.raises(AssertionError, match="is not finite; the first"):
        run(suite, "test_values_and_gradients_are_finite_whatever_the_boxes", torch.float32)


def test_losses_that_reduce_or_look_at_other_boxes_are_caught(installed: Installed, run: Run) -> None:
    with pytest.raises(AssertionError):
        run(installed(BoxLossSuite, Reduced), "test_one_loss_a_box_in_single_precision_or_better", torch.float32)
    suite = installed(BoxLossSuite, Crosses)
    with pytest.raises(AssertionError, match="alone and in a batch"):
        run(suite, "test_each_box_is_scored_as_if_alone")
    with pytest.raises((AssertionError, RuntimeError)):
        run(installed(BoxLossSuite, ForListsAlone), "test_pairs_are_scored_as_a_matrix")


def test_claims_that_do_not_hold_are_caught(installed: Installed, run: Run) -> None:
    suite = installed(BoxLossSuite, Asymmetric)
    with pytest.raises(AssertionError, match="exchanged"):
        run(suite, "test_the_two_may_change_places_where_claimed")
    with pytest.raises(AssertionError):
        run(suite, "test_no_loss_lies_outside_the_bounds")
    with pytest.raises(AssertionError, match="the target itself"):
        run(installed(BoxLossSuite, WrongWay), "test_no_box_is_better_than_the_target_itself")
    suite = installed(BoxLossSuite, Absolute)
    with pytest.raises(AssertionError, match="times as large"):
        run(suite, "test_scale_does_not_matter_where_claimed", 1e-3)
    with pytest.raises(AssertionError, match="moved alike"):
        run(suite, "test_place_does_not_matter_where_claimed")
    with pytest.raises(RuntimeError, match="Jacobian"):
        run(installed(BoxLossSuite, Detached), "test_gradients_are_the_derivatives_where_claimed")


def test_state_that_a_matcher_changes_is_caught(installed: Installed, run: Run) -> None:
    with pytest.raises(AssertionError, match="calls changed outside of training"):
        run(installed(BoxLossSuite, Counts), "test_state_changes_in_training_alone")
