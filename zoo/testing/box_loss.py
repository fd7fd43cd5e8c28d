"""What is asked of box losses."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from torch import Tensor

from zoo.models.boxes.contracts import BoxLoss
from zoo.spec.options import Chosen
from zoo.testing.module import TorchSuite, close, random_tensor
from zoo.testing.surroundings import untouched_surroundings

SHAPES = (
    (0, 0, 2, 1),
    (0, 0, 1, 3),
    (0.5, 0.25, 1.5, 0.75),
    (2, 1, 4, 2),  # touches the first at a corner
    (7, -5, 9, -4),
    (2, 0, 0, 1),  # inverted: in width,
    (0, 1, 2, 0),  # in height,
    (2, 1, 0, 0),  # in both
    (1, 0, 1, 1),  # without width,
    (0, 1, 2, 1),  # without height,
    (1, 1, 1, 1),  # without either,
    (0, 0, 0, 0),  # at the origin
    (0, 0, 1, 1e-12),  # thinner than single precision tells from nothing
    (1, 1, 1 + 1e-6, 2),
    (-1e4, -1e4, 1e4, 1e4),
)
"""Boxes, most of which are none. Every one is compared with every one."""
SIZES = {torch.float16: (1e-7, 1.0, 3.0), torch.bfloat16: (1e-30, 1.0, 1e30), torch.float32: (1e-30, 1.0, 1e30)}
"""What they are multiplied by; float16 ends at 65504."""


def degenerate_boxes(coordinates: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Pairs ``[N, coordinates]`` of all of `SHAPES`, each also against boxes of the other sizes."""
    shapes = torch.tensor(SHAPES, dtype=torch.float64)
    boxes = torch.cat([shapes * size for size in SIZES[dtype]])  # [B, 4]
    boxes = _with(coordinates, boxes).to(dtype)
    count = len(boxes)
    return boxes.repeat_interleave(count, 0), boxes.repeat(count, 1)  # [B * B, coordinates] each


def ordinary_boxes(coordinates: int, count: int = 40, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two lists ``[count, coordinates]`` of boxes with an area, float64: apart, overlapping, one inside the other."""
    corners = random_tensor(2, count, 2, seed=seed).double()
    sides = 0.3 + 2 * random_tensor(2, count, 2, seed=seed + 1).double().abs()
    boxes = _with(coordinates, torch.cat((corners, corners + sides), -1))  # [2, count, coordinates]
    return boxes[0], boxes[1]


def _with(coordinates: int, boxes: Tensor) -> Tensor:
    """`boxes` ``[..., 4]`` as they are, or rotated ones ``[..., 5]`` of the same sides, each at its own angle."""
    if coordinates == 4:
        return boxes
    low, high = boxes[..., :2], boxes[..., 2:]
    turns = torch.arange(boxes.shape[-2], dtype=boxes.dtype).expand(boxes.shape[:-1])[..., None]  # [..., 1]
    return torch.cat(((low + high) / 2, high - low, 0.7 * turns), -1)


def _scaled(boxes: Tensor, factor: float) -> Tensor:
    return torch.cat((boxes[..., :4] * factor, boxes[..., 4:]), -1)


def _moved(boxes: Tensor, by: Tensor) -> Tensor:
    corners = 2 if boxes.shape[-1] == 4 else 1
    return torch.cat((boxes[..., : 2 * corners] + by.repeat(corners), boxes[..., 2 * corners :]), -1)


class BoxLossSuite(TorchSuite):
    """Box losses: see `zoo.models.boxes.contracts.BoxLoss`. What a loss says of itself decides what is asked of it."""

    kind: ClassVar[str] = "box-loss"

    def build(self, chosen: Chosen) -> BoxLoss:
        """The loss, as the host builds it."""
        loss: BoxLoss = chosen.create()
        assert isinstance(loss, BoxLoss)
        assert loss.coordinates in (4, 5)
        return loss

    def settled(self, chosen: Chosen) -> BoxLoss:
        """The same in evaluation mode, after it has been trained on a batch."""
        loss = self.build(chosen)
        predicted, target = ordinary_boxes(loss.coordinates, seed=5)
        loss(predicted.float().requires_grad_(), target.float())
        return loss.eval()

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
    def test_one_loss_a_box_in_single_precision_or_better(self, chosen: Chosen, dtype: torch.dtype) -> None:
        loss = self.settled(chosen)
        predicted, target = (boxes.to(dtype) for boxes in ordinary_boxes(loss.coordinates))
        found = loss(predicted, target)
        wide = torch.float64 if dtype == torch.float64 else torch.float32
        assert (tuple(found.shape), found.dtype) == (predicted.shape[:1], wide)
        close(found, loss(predicted.double(), target.double()), 1e-4, f"{dtype} against float64")

    def test_no_boxes_give_no_losses(self, chosen: Chosen) -> None:
        loss = self.build(chosen)
        nothing = torch.zeros(0, loss.coordinates, requires_grad=True)
        found = loss(nothing, torch.zeros(0, loss.coordinates))
        assert found.shape == (0,)
        found.sum().backward()
        assert all(torch.isfinite(buffer).all() for buffer in loss.buffers()), "an empty batch spoilt the state"

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
    def test_values_and_gradients_are_finite_whatever_the_boxes(self, chosen: Chosen, dtype: torch.dtype) -> None:
        loss = self.build(chosen)
        predicted, target = degenerate_boxes(loss.coordinates, dtype)
        predicted.requires_grad_()
        target.requires_grad_()
        found = loss(predicted, target)
        found.sum().backward()
        assert predicted.grad is not None, "no gradient reaches the predicted boxes"
        # A target may be a constant to a loss.
        for what, tensor in (("loss", found), ("gradient", predicted.grad), ("target's gradient", target.grad)):
            if tensor is None:
                continue
            wrong = ~torch.isfinite(tensor).reshape(len(predicted), -1).all(-1)
            first = (predicted[wrong][:1].tolist(), target[wrong][:1].tolist())
            assert not wrong.any(), f"the {what} of {int(wrong.sum())} pairs is not finite; the first: {first}"

    def test_no_loss_lies_outside_the_bounds(self, chosen: Chosen) -> None:
        loss = self.settled(chosen)
        low, high = loss.bounds
        for pair in (degenerate_boxes(loss.coordinates, torch.float32), ordinary_boxes(loss.coordinates, 500)):
            found = loss(*pair).double()
            assert float(found.min()) >= low - 1e-6
            assert float(found.max()) <= high + 1e-6 * max(1.0, abs(high))

    def test_no_box_is_better_than_the_target_itself(self, chosen: Chosen) -> None:
        loss = self.settled(chosen)
        _, target = ordinary_boxes(loss.coordinates)
        exact = loss(target, target)
        if loss.zero_at_identity:
            close(exact, torch.zeros_like(exact), 1e-6, "the target itself")
        for size in (1e-3, 0.1, 1.0):
            off = target + size * random_tensor(*target.shape, seed=3).double()
            assert bool((loss(off, target) >= exact - 1e-9).all()), f"a box off by {size} is better than the target"

    @pytest.mark.parametrize("factor", [1e-20, 1e-3, 1e3, 1e20])
    def test_scale_does_not_matter_where_claimed(self, chosen: Chosen, factor: float) -> None:
        loss = self.settled(chosen)
        if not loss.scale_invariant:
            pytest.skip("not claimed")
        predicted, target = ordinary_boxes(loss.coordinates)
        scaled = loss(_scaled(predicted, factor).float(), _scaled(target, factor).float())
        close(scaled, loss(predicted, target), 1e-4, f"boxes {factor:g} times as large")

    def test_place_does_not_matter_where_claimed(self, chosen: Chosen) -> None:
        loss = self.settled(chosen)
        if not loss.translation_invariant:
            pytest.skip("not claimed")
        predicted, target = ordinary_boxes(loss.coordinates)
        by = torch.tensor([300.0, -170.0], dtype=torch.float64)
        close(loss(_moved(predicted, by), _moved(target, by)), loss(predicted, target), 1e-9, "boxes moved alike")

    def test_the_two_may_change_places_where_claimed(self, chosen: Chosen) -> None:
        loss = self.settled(chosen)
        if not loss.symmetric:
            pytest.skip("not claimed")
        predicted, target = ordinary_boxes(loss.coordinates)
        close(loss(target, predicted), loss(predicted, target), 1e-9, "predicted and target exchanged")

    def test_gradients_are_the_derivatives_where_claimed(self, chosen: Chosen) -> None:
        loss = self.settled(chosen)
        if not loss.exact_gradient:
            pytest.skip("not claimed")
        predicted, target = ordinary_boxes(loss.coordinates, 12)
        assert torch.autograd.gradcheck(loss, (predicted.requires_grad_(), target), fast_mode=True, atol=1e-6)

    def test_each_box_is_scored_as_if_alone(self, chosen: Chosen) -> None:
        loss = self.settled(chosen)
        predicted, target = ordinary_boxes(loss.coordinates, 12)
        together = loss(predicted, target)
        alone = torch.cat([loss(predicted[index, None], target[index, None]) for index in range(len(predicted))])
        close(alone, together, 1e-12, "boxes alone and in a batch")

    def test_pairs_are_scored_as_a_matrix(self, chosen: Chosen) -> None:
        loss = self.settled(chosen)
        predicted, target = ordinary_boxes(loss.coordinates)
        predicted, target = predicted[:5].requires_grad_(), target[:3]
        pairs = loss(predicted[:, None], target[None])  # [5, 3]
        assert pairs.shape == (5, 3)
        each = torch.stack([loss(predicted, row.expand(5, -1)) for row in target], 1)  # [5, 3]
        close(pairs, each, 1e-12, "a matrix of pairs against its columns")
        (gradient,) = torch.autograd.grad(pairs.sum(), predicted)
        (other,) = torch.autograd.grad(each.sum(), predicted)
        close(gradient, other, 1e-9, "the gradient of a matrix of pairs")

    def test_state_changes_in_training_alone(self, chosen: Chosen) -> None:
        loss = self.build(chosen)
        predicted, target = ordinary_boxes(loss.coordinates)
        before = {name: value.clone() for name, value in loss.state_dict().items()}
        with torch.no_grad():
            loss(predicted, target)
        loss.eval()(predicted.requires_grad_(), target)
        for name, value in loss.state_dict().items():
            assert torch.equal(value, before[name]), f"{name} changed outside of training"

    def test_inputs_and_global_state_are_left_alone(self, chosen: Chosen) -> None:
        loss = self.build(chosen)
        predicted, target = ordinary_boxes(loss.coordinates)
        before = predicted.clone(), target.clone()
        with untouched_surroundings():
            loss(predicted, target)
        assert torch.equal(predicted, before[0])
        assert torch.equal(target, before[1])

    def test_no_value_is_read_off_the_device(self, chosen: Chosen) -> None:
        """On an accelerator each such reading waits for everything that was asked of it before; here it fails."""
        loss = self.build(chosen).to("meta")
        predicted, target = (boxes.float().to("meta") for boxes in ordinary_boxes(loss.coordinates))
        found = loss(predicted.requires_grad_(), target)
        found.sum().backward()
        assert found.device.type == "meta", "the loss left the device of the boxes"
