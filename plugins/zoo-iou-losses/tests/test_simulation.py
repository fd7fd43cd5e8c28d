"""The simulation of the DIoU paper, on a few points: what is moved, by how much, and who arrives first."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from zoo_iou_losses.command import boxes as group
from zoo_iou_losses.simulation import ASPECTS, TEXT_ASPECTS, Simulation, rates, simulate, starting_boxes

from zoo.errors import InputError


def test_the_cases_are_the_papers() -> None:
    """7 targets x 7 areas x 7 aspect ratios a point: 1,715,000 cases of 5,000 points."""
    where = torch.tensor([[11.0, 9.0, 10.5], [10.0, 12.0, 8.0]], dtype=torch.float64)  # [2, 3 points]
    anchors, targets = starting_boxes(where, ASPECTS)
    assert anchors.shape == targets.shape == (4, 3 * 343)
    assert 343 * 5000 == 1_715_000
    shapes = {tuple(round(side, 9) for side in pair) for pair in targets[2:].t().tolist()}
    third, half = 3**0.5, 2**0.5
    expected = {
        (0.5, 2.0),
        (third / 3, third),
        (half / 2, half),
        (1.0, 1.0),
        (half, half / 2),
        (third, third / 3),
        (2.0, 0.5),
    }
    assert shapes == {tuple(round(side, 9) for side in pair) for pair in expected}
    assert targets[:2].unique().tolist() == [10.0]
    areas = (anchors[2] * anchors[3]).tolist()
    assert sorted({round(area, 6) for area in areas}) == [0.5, 0.67, 0.75, 1.0, 1.33, 1.5, 2.0]
    assert torch.equal(anchors[:2, 343:686].unique(dim=1), where[:, 1:2])
    pairs = torch.cat((anchors[2:], targets[2:])).t()
    assert len(pairs[:343].unique(dim=0)) == 343


def test_lines_of_text_are_8_to_40_times_as_wide_as_high() -> None:
    anchors, targets = starting_boxes(torch.tensor([[10.0], [10.0]]), TEXT_ASPECTS)
    for boxes in (anchors, targets):
        ratio = boxes[2] / boxes[3]
        assert (float(ratio.min()), float(ratio.max())) == (pytest.approx(8, rel=1e-5), pytest.approx(40, rel=1e-5))


def test_the_rate_falls_at_160_and_180_of_200_steps() -> None:
    assert rates(200) == [0.1] * 160 + [0.01] * 20 + [0.001] * 20


def test_a_step_is_the_rate_times_2_minus_iou_times_the_gradient() -> None:
    """One step of one point, by plain autograd over centre and size."""
    found = simulate(("giou",), ("autograd",), points=1, steps=10, compiled=False, double=True, seed=3)
    where = torch.tensor(found.points, dtype=torch.float64).t()
    boxes, goal = starting_boxes(where, ASPECTS)
    boxes.requires_grad_()

    def corners(held: torch.Tensor) -> torch.Tensor:
        return torch.cat((held[:2] - held[2:] / 2, held[:2] + held[2:] / 2)).t()

    a, b = corners(boxes), corners(goal)
    inter = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0).prod(-1)
    union = boxes[2:].prod(0) + goal[2:].prod(0) - inter
    hull = (torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])).prod(-1)
    iou = inter / union
    (gradient,) = torch.autograd.grad((1 - iou + (hull - union) / hull).sum(), boxes)
    moved = boxes.detach() - 0.1 * (2 - iou.detach()) * gradient
    (curve,) = found.curves
    assert curve.total[0] == pytest.approx(float((boxes.detach() - goal).abs().sum()))
    assert curve.total[1] == pytest.approx(float((moved - goal).abs().sum()))


@pytest.fixture(scope="module")
def short() -> Simulation:
    """Fifty steps on eight points."""
    return simulate(points=8, steps=50, compiled=False, seed=1)


def test_who_arrives_first_depends_on_whose_gradients_they_are(short: Simulation) -> None:
    """The paper's order with the authors' gradients; with true ones GIoU is ahead of DIoU."""
    error = {(curve.mode, curve.loss): curve.total[40] for curve in short.curves}
    published = [error["authors", name] for name in ("ciou", "diou", "giou", "iou")]
    assert published == sorted(published)
    assert error["authors", "diou"] < 0.5 * error["authors", "giou"]
    assert error["autograd", "giou"] < error["autograd", "diou"]
    assert error["text-lines", "ciou"] == pytest.approx(error["text-lines", "diou"], rel=1e-3)
    assert error["autograd", "ciou"] < 0.99 * error["autograd", "diou"]


def test_errors_by_place_are_those_of_all_cases(short: Simulation) -> None:
    for curve in short.curves:
        assert len(curve.total) == 51
        assert sum(curve.positions) == pytest.approx(curve.total[-1], rel=1e-6)
        assert len(curve.positions) == len(short.points)
    radius = [((x - 10) ** 2 + (y - 10) ** 2) ** 0.5 for x, y in short.points]
    curve = short.curves[0]
    for ring, mean in enumerate(curve.rings):
        inside = [error / 343 for error, at in zip(curve.positions, radius, strict=True) if int(at / 0.2) == ring]
        assert mean == pytest.approx(sum(inside) / len(inside) if inside else 0.0)


def test_points_fill_the_disc_evenly_and_come_from_the_seed() -> None:
    one, two = (simulate(("iou",), ("autograd",), points=300, steps=1, compiled=False, seed=7).points for _ in range(2))
    assert one == two
    radius = [((x - 10) ** 2 + (y - 10) ** 2) ** 0.5 for x, y in one]
    assert max(radius) <= 3
    assert sum(at < 1.5 for at in radius) / 300 == pytest.approx(0.25, abs=0.07)


def test_unknown_losses_and_those_without_a_published_gradient_are_refused() -> None:
    with pytest.raises(InputError, match="unknown box-loss 'gioux'"):
        simulate(("gioux",), ("autograd",), points=1)
    with pytest.raises(InputError, match="'siou' has no published gradient: known: ciou, diou, giou, iou"):
        simulate(("siou",), ("authors",), points=1)
    with pytest.raises(InputError, match="boxes of 5 numbers"):
        simulate(("kfiou",), ("autograd",), points=1)


def test_the_command_writes_errors_and_figures(tmp_path: Path) -> None:
    def run(*arguments: str) -> Any:
        short = ("simulate", "--points", "2", "--steps", "10", "--eager", "--loss", "giou", "--mode", "autograd")
        done = CliRunner().invoke(group, [*short, *arguments])
        assert done.exit_code == 0, done.output
        return done.output

    printed = json.loads(run("--json", "--out", str(tmp_path / "all.json"), "--figures", str(tmp_path / "figures")))
    assert (printed["cases"], printed["steps"]) == (686, 10)
    written = json.loads((tmp_path / "all.json").read_text())
    assert len(written["points"]) == 2
    assert written["curves"][0]["total"] == printed["curves"][0]["total"]
    from zoo.site.published_figures import figure_pages

    (page,), problems = figure_pages(tmp_path / "figures")
    assert problems == []
    assert [chart.series[0].name for chart in page.figure.charts] == ["GIoU"] * 3
    assert "STEP 10" in run("--out", str(tmp_path / "steps.csv"))
    rows = list(csv.DictReader((tmp_path / "steps.csv").open()))
    assert [float(row["error"]) for row in rows] == pytest.approx(printed["curves"][0]["total"])
    assert isinstance(CliRunner().invoke(group, ["simulate", "--out", "x.png"]).exception, InputError)
