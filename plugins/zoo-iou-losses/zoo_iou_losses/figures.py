"""The simulation as figures of the leaderboard: the paper's figure 4 in lines."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from zoo_iou_losses.simulation import RADIUS, Curve, Mode, Simulation

_MODES: dict[Mode, str] = {
    "authors": "with the gradients that the authors published as code",
    "autograd": "with the losses' true gradients",
    "text-lines": "with the losses' true gradients, on boxes 8 to 40 times as wide as high",
}
_NAMES = {"iou": "IoU", "giou": "GIoU", "diou": "DIoU", "ciou": "CIoU"}
_DRAWN = 5
"""Every so manieth step is a point of a line."""


def figures_of(found: Simulation) -> dict[str, dict[str, Any]]:
    """One `zoo.figure/1` for each mode, by name."""
    return {f"box-losses-{mode}": _figure(found, mode) for mode in dict.fromkeys(curve.mode for curve in found.curves)}


def _figure(found: Simulation, mode: Mode) -> dict[str, Any]:
    curves = [curve for curve in found.curves if curve.mode == mode]
    names = " ".join(f"--loss {curve.loss}" for curve in curves)
    return {
        "schema": "zoo.figure/1",
        "title": f"Box losses: moving boxes onto their targets, {_MODES[mode]}",
        "text": (
            f"The simulation of the DIoU paper (arXiv:1911.08287): {found.cases:,} boxes about their targets, "
            "moved by the gradient of their loss alone. Error is the L1 distance of centre and size from the target's."
        ),
        "source": "https://arxiv.org/abs/1911.08287",
        "command": f"zoo boxes simulate --mode {mode} {names} --points {len(found.points)} --steps {found.steps} "
        f"--seed {found.seed}",
        "versions": {name: version(name) for name in ("zoo-iou-losses", "torch")},
        "charts": [
            {
                "title": "Error of all boxes",
                "x": "step",
                "y": "error, millions",
                "series": [_series(curve, _by_step(curve, found.steps)) for curve in curves],
            },
            {
                "title": "Final error by distance",
                "x": "distance from the target's centre",
                "y": "mean error of a box",
                "series": [_series(curve, _middles(curve.rings, RADIUS)) for curve in curves],
            },
            {
                "title": "Final error by direction",
                "x": "direction from the target's centre, degrees",
                "y": "mean error of a box",
                "series": [_series(curve, _middles(curve.sectors, 360.0)) for curve in curves],
            },
        ],
    }


def _series(curve: Curve, points: list[tuple[float, float]]) -> dict[str, Any]:
    return {"name": _NAMES.get(curve.loss, curve.loss), "points": [[x, float(f"{y:.5g}")] for x, y in points]}


def _by_step(curve: Curve, steps: int) -> list[tuple[float, float]]:
    shown = [step for step in range(steps + 1) if step % _DRAWN == 0 or step == steps]
    return [(step, curve.total[step] / 1e6) for step in shown]


def _middles(bins: tuple[float, ...], end: float) -> list[tuple[float, float]]:
    width = end / len(bins)
    return [(round((index + 0.5) * width, 4), value) for index, value in enumerate(bins)]
