"""What holds for any boxes at all."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from zoo.models.boxes import BoxLoss
from zoo.registry import current_registry

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@pytest.fixture(scope="module")
def losses(loss_named: Any) -> dict[str, BoxLoss]:
    """Every loss of axis-parallel boxes, by name."""
    names = [one.name for one in current_registry().components("box-loss") if one.distribution == "zoo-iou-losses"]
    built = {name: loss_named(name, **({"backend": "eager"} if name == "fused" else {})) for name in names}
    return {name: loss for name, loss in built.items() if loss.coordinates == 4}


def _numbers(largest: float) -> st.SearchStrategy[float]:
    """Few distinct ones among them, so that edges meet."""
    exponents = st.sampled_from([1e-30, 1e-12, 1.0, 1e3, largest])
    return st.one_of(
        st.sampled_from([0.0, 1.0, 2.0, -1.0]),
        st.builds(lambda size, share: size * share, exponents, st.floats(-1, 1, width=32)),
    )


def _boxes(largest: float) -> st.SearchStrategy[list[list[float]]]:
    box = st.lists(_numbers(largest), min_size=4, max_size=4)  # corners in any order
    return st.lists(box, min_size=2, max_size=8)


@settings(max_examples=15, deadline=None)
@given(data=st.data(), kind=st.sampled_from(sorted(DTYPES)))
def test_value_and_gradient_are_finite_for_any_corners(losses: dict[str, BoxLoss], data: Any, kind: str) -> None:
    largest = 6e4 if kind == "float16" else 1e30
    drawn = torch.tensor(data.draw(_boxes(largest)), dtype=torch.float64).to(DTYPES[kind])
    predicted = drawn.repeat(2, 1).requires_grad_()
    target = torch.cat((drawn, drawn.roll(1, 0)))  # each against itself, and against another
    for name, loss in losses.items():
        values = loss(predicted, target)
        (gradient,) = torch.autograd.grad(values.sum(), predicted)
        values = values.detach()
        assert torch.isfinite(values).all(), name
        assert torch.isfinite(gradient).all(), name
        assert float(values.min()) >= loss.bounds[0] - 1e-6, name
        assert float(values.max()) <= loss.bounds[1] + 1e-5, name


def _proper() -> st.SearchStrategy[list[float]]:
    place, side = st.floats(-50, 50), st.floats(0.01, 80)
    return st.builds(lambda x, y, w, h: [x, y, x + w, y + h], place, place, side, side)


@settings(max_examples=25, deadline=None)
@given(first=_proper(), second=_proper(), factor=st.floats(1e-6, 1e6), by=st.floats(-100, 100))
@example(first=[0.0, 0.0, 4.0, 1.0], second=[0.0, 0.0, 4.0, 1.0], factor=3.0, by=1.0)
@example(first=[0.0, 0.0, 4.0, 1.0], second=[2.0, -1.0, 3.0, 3.0], factor=3.0, by=1.0)
def test_the_family_of_iou_keeps_its_order_and_its_invariants(
    losses: dict[str, BoxLoss], first: list[float], second: list[float], factor: float, by: float
) -> None:
    a, b = (torch.tensor([box], dtype=torch.float64) for box in (first, second))
    value = {name: float(losses[name](a, b)) for name in ("iou", "giou", "diou", "ciou")}
    assert value["ciou"] >= value["diou"] - 1e-12 >= value["iou"] - 2e-12
    assert value["giou"] >= value["iou"] - 1e-12
    for name, high in (("iou", 1), ("giou", 2), ("diou", 2), ("ciou", 3)):
        loss = losses[name]
        assert -1e-12 <= value[name] <= high
        assert float(loss(b, a)) == pytest.approx(value[name], abs=1e-9)
        assert float(loss(factor * a, factor * b)) == pytest.approx(value[name], abs=1e-7)
        assert float(loss(a + by, b + by)) == pytest.approx(value[name], abs=1e-7)
        assert float(loss(a, a)) == pytest.approx(0, abs=1e-12)


def test_square_boxes_cannot_tell_ciou_from_diou_and_others_can(losses: dict[str, BoxLoss]) -> None:
    square = torch.tensor([[0.0, 0.0, 3.0, 3.0], [2.0, 1.0, 7.0, 6.0]])
    assert torch.equal(losses["ciou"](square, square.flip(0)), losses["diou"](square, square.flip(0)))
    wide, tall = torch.tensor([[0.0, 0.0, 6.0, 1.0]]), torch.tensor([[0.0, 0.0, 1.0, 6.0]])
    assert float(losses["ciou"](wide, tall)) > float(losses["diou"](wide, tall)) + 0.1


def test_the_sides_of_the_intersection_are_clamped_one_by_one(losses: dict[str, BoxLoss]) -> None:
    """Apart in both directions, the product of both gaps is positive."""
    apart = torch.tensor([[0.0, 0.0, 1.0, 2.0]]), torch.tensor([[5.0, 7.0, 6.0, 9.0]])
    assert float(losses["iou"](*apart)) == 1


def test_the_weight_of_the_aspect_has_no_gradient_and_the_aspect_has(losses: dict[str, BoxLoss]) -> None:
    """With one centre and nested boxes only w and h are at play: the gradient is that of alpha held fast."""
    target = torch.tensor([[0.0, 0.0, 4.0, 2.0]], dtype=torch.float64)

    def parts(box: Tensor) -> tuple[Tensor, Tensor]:
        iou = 1 - losses["iou"](box, target)
        sides = box[:, 2:] - box[:, :2]
        v = 4 / torch.pi**2 * (torch.atan2(*target.new_tensor([4.0, 2.0])) - torch.atan2(sides[:, 0], sides[:, 1])) ** 2
        return v, v / (1 - iou + v)

    box = torch.tensor([[1.0, 0.75, 2.0, 1.25]], dtype=torch.float64, requires_grad=True)
    v, alpha = parts(box)
    expected = losses["diou"](box, target) + alpha.detach() * v
    found = losses["ciou"](box, target)
    assert found.item() == pytest.approx(expected.item(), abs=1e-12)
    (of_expected,) = torch.autograd.grad(expected.sum(), box)
    (of_found,) = torch.autograd.grad(found.sum(), box)
    torch.testing.assert_close(of_found, of_expected, rtol=0, atol=1e-12)
