"""The simulation of the DIoU paper: boxes that are moved onto their target by the gradient of their loss alone.

arXiv:1911.08287: seven targets of area 1 about one centre; about it, in a
disc of radius 3, points that each stand for 49 anchors (seven areas, seven aspect ratios) of every target; with 5,000
points these are 1,715,000 cases. Each step changes centre and size by ``rate (2 - IoU)`` times the gradient, the rate
being .1, from step 161 on .01 and from 181 on .001 (80% and 90% of other numbers of steps). What is added up is the L1
distance of centre and size from the target's, after every step.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from zoo.errors import InputError
from zoo.models.boxes.contracts import BoxLoss
from zoo.registry import current_registry
from zoo.spec.options import Chosen
from zoo_iou_losses.fused import Compiled
from zoo_iou_losses.geometry import Pair
from zoo_iou_losses.published import Published

Mode = Literal["authors", "autograd", "text-lines"]
MODES: tuple[Mode, ...] = ("authors", "autograd", "text-lines")
LOSSES = ("iou", "giou", "diou", "ciou")
ASPECTS = (1 / 4, 1 / 3, 1 / 2, 1.0, 2.0, 3.0, 4.0)
"""Width over height of the paper's targets and anchors."""
TEXT_ASPECTS = (8.0, 10.0, 13.0, 17.0, 23.0, 30.0, 40.0)
"""Those of lines of text."""
AREAS = (0.5, 0.67, 0.75, 1.0, 1.33, 1.5, 2.0)
"""An anchor's area over its target's."""
CENTRE, RADIUS, POINTS = 10.0, 3.0, 5000
_AT_ONCE = 50
"""Points whose cases are moved together: they stay in a processor's cache."""
_RINGS, _SECTORS = 15, 18


@dataclass(frozen=True)
class Curve:
    """What became of one loss in one mode."""

    mode: Mode
    loss: str
    total: tuple[float, ...]
    """Error of all cases before the first step and after every one."""
    rings: tuple[float, ...]
    """Mean final error of a case by the distance of its point: rings of 0.2 from the centre outwards."""
    sectors: tuple[float, ...]
    """Mean final error by the direction of its point: sectors of 20 degrees, counter-clockwise from the right."""
    positions: tuple[float, ...]
    """Final error of each point's cases together."""
    seconds: float


@dataclass(frozen=True)
class Simulation:
    """All that was simulated, on the same points."""

    points: tuple[tuple[float, float], ...]
    cases: int
    steps: int
    seed: int
    dtype: str
    curves: tuple[Curve, ...]


def simulate(
    losses: Sequence[str] = LOSSES,
    modes: Sequence[Mode] = MODES,
    *,
    points: int = POINTS,
    steps: int = 200,
    seed: int = 0,
    compiled: bool = True,
    double: bool = False,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> Simulation:
    """Move the cases of `points` points by each of `losses` (names of box losses) in each of `modes`.

    In mode ``authors`` a loss that has a twin ``NAME-published`` steps by its gradient, which stands in the code of the
    authors' simulation; in ``text-lines`` boxes are 8 to 40 times as wide as high, and gradients true.
    Raises InputError where a loss is unknown, has no twin in mode ``authors``, or takes no boxes of four numbers.
    """
    chosen = [(mode, name, _loss(name, mode)) for mode in modes for name in losses]
    dtype = torch.float64 if double else torch.float32
    draw = torch.Generator().manual_seed(seed)
    radius = RADIUS * torch.rand(points, generator=draw, dtype=torch.float64).sqrt()  # even over the disc
    angle = 2 * math.pi * torch.rand(points, generator=draw, dtype=torch.float64)
    where = CENTRE + torch.stack((radius * angle.cos(), radius * angle.sin()))  # [2, points]
    steppers: dict[tuple[str, bool], _Stepper] = {}
    curves = []
    for index, (mode, name, loss) in enumerate(chosen):
        # One kernel serves both modes that differ in their boxes alone.
        stepper = steppers.setdefault((name, mode == "authors"), _Stepper(loss, compiled=compiled))
        begun = time.monotonic()
        total, positions = _moved(
            stepper,
            where.to(dtype),
            TEXT_ASPECTS if mode == "text-lines" else ASPECTS,
            steps,
            lambda done, told=f"{mode} {name}", at=index: progress(
                f"cases, {told}", at * points + done, len(chosen) * points
            ),
        )
        cases = len(ASPECTS) ** 2 * len(AREAS)
        curves.append(
            Curve(
                mode,
                name,
                tuple(total.tolist()),
                _binned(positions, radius * (_RINGS / RADIUS), _RINGS, cases),
                _binned(positions, angle * (_SECTORS / (2 * math.pi)), _SECTORS, cases),
                tuple(positions.tolist()),
                time.monotonic() - begun,
            )
        )
    return Simulation(
        tuple((x, y) for x, y in where.t().tolist()),
        points * len(ASPECTS) ** 2 * len(AREAS),
        steps,
        seed,
        str(dtype).removeprefix("torch."),
        tuple(curves),
    )


def rates(steps: int) -> list[float]:
    """The learning rate of every step."""
    return [0.1 if step < 0.8 * steps else 0.01 if step < 0.9 * steps else 0.001 for step in range(steps)]


def starting_boxes(where: Tensor, aspects: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Anchors and targets, in columns of centre and size ``[4, points * 343]``, of the points ``[2, points]``."""
    shape = torch.tensor(
        [(math.sqrt(aspect), 1 / math.sqrt(aspect)) for aspect in aspects], dtype=where.dtype
    )  # [7, 2]
    scale = torch.tensor(AREAS, dtype=where.dtype).sqrt()  # [7]
    anchors = scale[:, None, None] * shape  # [7, 7, 2]
    each = len(aspects) * len(AREAS) * len(aspects)
    count = where.shape[1]
    targets = shape[:, None].expand(-1, len(AREAS) * len(aspects), -1).reshape(each, 2)  # [343, 2]
    anchors = anchors.reshape(1, -1, 2).expand(len(aspects), -1, -1).reshape(each, 2)  # [343, 2]
    centre = torch.full((2, count * each), CENTRE, dtype=where.dtype)
    return (
        torch.cat((where.repeat_interleave(each, 1), anchors.t().repeat(1, count))),  # [4, points * 343]
        torch.cat((centre, targets.t().repeat(1, count))),  # [4, points * 343]
    )


def _loss(name: str, mode: Mode) -> BoxLoss:
    record = current_registry().get("box-loss", name)
    options: dict[str, Any] = {}
    if mode == "authors":
        twin = f"{name}-published"
        if twin not in current_registry().names("box-loss"):
            known = [
                known.removesuffix("-published")
                for known in current_registry().names("box-loss")
                if known.endswith("-published")
            ]
            raise InputError(f"'{name}' has no published gradient: known: {', '.join(known)}", where="--mode authors")
        record = current_registry().get("box-loss", twin)
        options = {"source": "simulation"} if "source" in record.load_options().model_fields else {}
    loss: BoxLoss = Chosen(record, record.load_options().model_validate(options)).create()
    if loss.coordinates != 4:
        raise InputError(f"'{name}' takes boxes of {loss.coordinates} numbers, expected 4", where="--loss")
    return loss.eval()


class _Stepper:
    """One step of all boxes of a chunk by a loss's gradient, compiled where that is possible."""

    def __init__(self, loss: BoxLoss, *, compiled: bool) -> None:
        def total(predicted: Tensor, target: Tensor) -> Tensor:
            return loss(predicted.t(), target.t()).sum()

        derivative = torch.func.grad(total)

        def step(boxes: Tensor, goal: Tensor, rate: Tensor) -> tuple[Tensor, Tensor]:
            predicted, target = _corners(boxes), _corners(goal)  # [4, N] each
            if isinstance(loss, Published):
                slope = loss.gradient(predicted.t(), target.t())[1].t()  # [4, N]
            else:
                slope = derivative(predicted, target)  # [4, N]
            x1, y1, x2, y2 = slope.unbind()
            by_centre_and_size = torch.stack((x1 + x2, y1 + y2, (x2 - x1) / 2, (y2 - y1) / 2))  # [4, N]
            weight = rate * (2 - Pair(predicted.t(), target.t()).iou())  # [N]
            moved = boxes - weight * by_centre_and_size  # [4, N]
            return moved, (moved - goal).abs().sum(0)  # [N]

        self.step = Compiled(step, enabled=compiled, dynamic=False)


def _corners(boxes: Tensor) -> Tensor:
    """Columns ``[4, N]`` of centre and size as x1, y1, x2, y2."""
    x, y, w, h = boxes.unbind()
    return torch.stack((x - w / 2, y - h / 2, x + w / 2, y + h / 2))  # [4, N]


@torch.no_grad()
def _moved(
    stepper: _Stepper, where: Tensor, aspects: Sequence[float], steps: int, progress: Callable[[int], None]
) -> tuple[Tensor, Tensor]:
    """Error of all cases before and after every step ``[steps + 1]``, and the final one of each point ``[points]``."""
    total = torch.zeros(steps + 1, dtype=torch.float64)
    positions = []
    rate = [torch.tensor(number, dtype=where.dtype) for number in rates(steps)]
    at_once = min(_AT_ONCE, where.shape[1])
    for start in range(0, where.shape[1], at_once):
        points = where[:, start : start + at_once]
        real = points.shape[1]
        # The last chunk is filled up, so that one kernel fits all; what fills it is not counted.
        points = torch.cat((points, points[:, -1:].expand(-1, at_once - real)), 1)  # [2, at_once]
        boxes, goal = starting_boxes(points, aspects)  # [4, N] each
        counted = boxes.shape[1] // at_once * real
        error = (boxes - goal).abs().sum(0)  # [N]
        total[0] += error[:counted].double().sum()
        for index in range(steps):
            boxes, error = stepper.step(boxes, goal, rate[index])
            total[index + 1] += error[:counted].double().sum()
        positions.append(error[:counted].double().reshape(real, -1).sum(1))  # [real]
        progress(start + real)
    return total, torch.cat(positions)


def _binned(positions: Tensor, at: Tensor, bins: int, cases: int) -> tuple[float, ...]:
    """The mean of a case in each bin; 0 where no point fell into it."""
    index = at.long().clamp(max=bins - 1)
    count = torch.bincount(index, minlength=bins).clamp(min=1)
    total = torch.zeros(bins, dtype=torch.float64).index_add(0, index, positions)
    return tuple((total / count / cases).tolist())
