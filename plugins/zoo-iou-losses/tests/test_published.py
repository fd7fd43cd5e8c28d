"""The published gradients are what is said of them, by finite differences of the papers' quantities."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

Box = tuple[float, float, float, float]
"""x, y, w, h"""
TARGET: Box = (0.45, 0.5, 0.3, 0.2)
CASES: dict[str, Box] = {
    "overlapping": (0.5, 0.55, 0.25, 0.33),
    "apart": (0.8, 0.1, 0.1, 0.25),
    "apart in one direction": (0.5, 0.9, 0.21, 0.1),
    "out on both sides in x": (0.47, 0.56, 0.6, 0.15),
    "out on both sides in both": (0.47, 0.53, 0.6, 0.5),
    "inside": (0.46, 0.51, 0.1, 0.07),
}


def _edges(box: Box) -> Box:
    x, y, w, h = box
    return x - w / 2, y - h / 2, x + w / 2, y + h / 2


def _gaps(box: Box) -> tuple[float, float]:
    a, b = _edges(box), _edges(TARGET)
    return min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])


def _hull(box: Box) -> tuple[float, float]:
    a, b = _edges(box), _edges(TARGET)
    return max(a[2], b[2]) - min(a[0], b[0]), max(a[3], b[3]) - min(a[1], b[1])


def _union(box: Box, clamped: bool) -> float:
    w, h = _gaps(box)
    return box[2] * box[3] + TARGET[2] * TARGET[3] - (max(w, 0) * max(h, 0) if clamped else w * h)


def _iou(box: Box) -> float:
    w, h = _gaps(box)
    return max(w, 0) * max(h, 0) / _union(box, True)


def _covered(box: Box) -> float:
    """``U / C`` with the union as the code has it."""
    return _union(box, False) / math.prod(_hull(box))


def _rho2(box: Box) -> float:
    return (box[0] - TARGET[0]) ** 2 + (box[1] - TARGET[1]) ** 2


def _per_diagonal(box: Box) -> float:
    return 1 / sum(side**2 for side in _hull(box))


def _v(box: Box) -> float:
    return 4 / math.pi**2 * (math.atan2(TARGET[2], TARGET[3]) - math.atan2(box[2], box[3])) ** 2


def _slopes(function: Callable[[Box], float], box: Box, step: float = 1e-6) -> list[float]:
    """Central differences by x, y, w and h."""
    found = []
    for axis in range(4):
        up, down = list(box), list(box)
        up[axis] += step
        down[axis] -= step
        found.append((function(tuple(up)) - function(tuple(down))) / (2 * step))  # type: ignore[arg-type]
    return found


def _said(name: str, box: Box) -> list[float]:
    """The published gradient by its description in `zoo_iou_losses.published`, 1 to 4."""
    overlap = [-slope for slope in _slopes(_iou, box)]
    if name == "giou-published":
        overlap = [a - b for a, b in zip(overlap, _slopes(_covered, box), strict=True)]
    gradient = [*overlap[:2], *(2 * slope for slope in overlap[2:])]
    if name in {"diou-published", "ciou-published"}:
        rho2, per = _slopes(_rho2, box), _slopes(_per_diagonal, box)
        sign = (-1, -1, 1, 1)
        for axis in range(4):
            gradient[axis] += rho2[axis] * _per_diagonal(box) + sign[axis] * _rho2(box) * per[axis]
    if name == "ciou-published":
        v, iou = _v(box), _iou(box)
        for axis in (2, 3):
            gradient[axis] += v / (1 - iou + v) * _slopes(_v, box)[axis] * (box[2] ** 2 + box[3] ** 2)
    return gradient


def _gradient(loss: Any, box: Box) -> list[float]:
    """What arrives at centre and size through the corners."""
    held = torch.tensor(box, dtype=torch.float64, requires_grad=True)
    x, y, w, h = held.unbind()
    corners = torch.stack((x - w / 2, y - h / 2, x + w / 2, y + h / 2))
    loss(corners, torch.tensor(_edges(TARGET), dtype=torch.float64)).backward()
    assert held.grad is not None
    return held.grad.tolist()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", ["iou-published", "giou-published", "diou-published", "ciou-published"])
def test_the_gradient_of_the_detector_is_as_described(loss_named: Any, name: str, case: str) -> None:
    box = CASES[case]
    assert _gradient(loss_named(name), box) == pytest.approx(_said(name, box), abs=1e-6)


@pytest.mark.parametrize("name", ["diou-published", "ciou-published"])
def test_the_gradient_of_the_simulation_takes_both_sides_of_the_hull_to_change_alike(
    loss_named: Any, name: str
) -> None:
    """Worked out by hand where the predicted box sticks out to the right and below."""
    box = (0.5, 0.55, 0.25, 0.22)
    width, height = _hull(box)
    rho2, c2 = _rho2(box), width**2 + height**2
    # Cw and Ch have the derivatives 1, 1, 1/2 and 1/2 by x, y, w and h each, where each should have two of them.
    extra = [height, width, height / 2, width / 2]
    sign = (1, 1, -1, -1)
    expected = [slope + sign[axis] * 2 * extra[axis] * rho2 / c2**2 for axis, slope in enumerate(_said(name, box))]
    assert _gradient(loss_named(name, source="simulation"), box) == pytest.approx(expected, abs=1e-6)


def test_in_the_simulation_a_box_out_on_both_sides_is_shrunk(loss_named: Any) -> None:
    box = CASES["out on both sides in both"]
    width, height = _hull(box)
    rho2, c2 = _rho2(box), width**2 + height**2
    detector, simulation = (_gradient(loss_named("diou-published", source=of), box) for of in ("darknet", "simulation"))
    # dCw/dw is -1 in place of 1, and Ch is taken to grow with w as Cw does.
    for axis, own, other in ((2, width, height), (3, height, width)):
        assert simulation[axis] - detector[axis] == pytest.approx(-2 * rho2 / c2**2 * (other - 2 * own), abs=1e-9)


@pytest.mark.parametrize("name", ["iou", "giou", "diou", "ciou"])
def test_the_value_is_the_papers(loss_named: Any, boxes: tuple[Tensor, Tensor], name: str) -> None:
    assert torch.equal(loss_named(f"{name}-published")(*boxes), loss_named(name)(*boxes))
