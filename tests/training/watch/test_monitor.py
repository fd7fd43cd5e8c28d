"""What the curve tells of losses and gradients."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from zoo.training.contracts import Clipped
from zoo.training.watch.monitor import Monitor

CPU = torch.device("cpu")


def clipped(norm: float, bound: float, groups: Mapping[str, Clipped] | None = None) -> Clipped:
    return Clipped(torch.tensor(norm), torch.tensor(min(norm, bound)), torch.tensor(norm > bound), dict(groups or {}))


def step(monitor: Monitor, loss: float, done: Clipped, parts: Mapping[str, Tensor] | None = None) -> None:
    monitor.micro_batch(torch.tensor(loss), 10)
    monitor.gradients(done, parts)


def test_a_point_averages_the_steps_before_it() -> None:
    monitor = Monitor(CPU)
    step(monitor, 4.0, clipped(3.0, 2.0))
    step(monitor, 2.0, clipped(1.0, 2.0))
    point = monitor.point(0.1)
    assert (point.step, point.loss, point.learning_rate) == (2, 3.0, 0.1)
    assert (point.gradient_norm, point.clipped_norm, point.clipped_fraction) == (2.0, 1.5, 0.5)
    step(monitor, 1.0, clipped(1.0, 2.0))
    assert monitor.point(0.1).clipped_norm == 1.0


def test_groups_that_are_clipped_each_on_its_own_are_told_apart() -> None:
    monitor = Monitor(CPU)
    for norm in (3.0, 1.0):
        step(monitor, 1.0, clipped(5.0, 9.0, {"norms": clipped(norm, 2.0)}))
    point = monitor.point(0.1)
    assert point.gradients == {"norms.norm": 2.0, "norms.clipped_norm": 1.5, "norms.clipped_fraction": 0.5}
    assert monitor.clipping_facts()["clipped_by_group"] == {"norms": 1}


def test_what_is_measured_in_some_steps_is_averaged_over_these() -> None:
    monitor = Monitor(CPU)
    step(monitor, 1.0, clipped(1.0, 2.0))
    step(monitor, 1.0, clipped(1.0, 2.0), {"rare.norm": torch.tensor(7.0)})
    assert monitor.point(0.1).gradients == {"rare.norm": 7.0}
    step(monitor, 1.0, clipped(1.0, 2.0))
    assert monitor.point(0.1).gradients == {}


def test_only_losses_are_added_up_over_processes() -> None:
    monitor = Monitor(CPU, summed=lambda losses: 2 * losses)
    step(monitor, 1.0, clipped(1.0, 2.0), {"rare.norm": torch.tensor(7.0)})
    point = monitor.point(0.1)
    assert (point.loss, point.gradient_norm, point.gradients) == (2.0, 1.0, {"rare.norm": 7.0})


def test_an_interrupted_window_goes_on_where_it_was() -> None:
    whole, cut, resumed = Monitor(CPU), Monitor(CPU), Monitor(CPU)
    for index in range(6):
        done = clipped(float(index), 2.0, {"norms": clipped(float(index), 1.0)})
        step(whole, float(index), done)
        step(cut if index < 3 else resumed, float(index), done)
        if index == 2:
            resumed.load_state(json.loads(json.dumps(cut.state())))
    assert resumed.point(0.1) == whole.point(0.1)
    assert resumed.clipping_facts() == whole.clipping_facts()


def test_a_checkpoint_of_an_earlier_version_is_gone_on_with() -> None:
    """Its window has a loss, a norm and whether it was clipped for each step, and nothing about which."""
    monitor = Monitor(CPU)
    state = {**monitor.state(), "window": [(2.0, 3.0, 1.0)], "done": 1}
    del state["steps"]
    monitor.load_state(state)
    step(monitor, 4.0, clipped(1.0, 2.0))
    point = monitor.point(0.1)
    assert (point.step, point.loss, point.gradient_norm, point.clipped_fraction) == (2, 3.0, 2.0, 0.5)
    assert point.clipped_norm == pytest.approx(1.0)
    assert monitor.clipping_facts() == {"steps": 1, "clipped": 0, "ranges": []}
