"""Adafactor against the paper's algorithms, written out in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from zoo_optimizers.adafactor import Adafactor
from zoo_optimizers.options import AdafactorOptions


class PaperAdafactor:
    """Shazeer & Stern 2018, algorithm 4 (matrices) and algorithm 5 (vectors), rate given from outside, float64."""

    def __init__(self, shape: tuple[int, ...], c: float, d: float, eps: float) -> None:
        self.c, self.d, self.eps, self.t = c, d, eps, 0
        self.row = np.zeros(shape[:1])
        self.column = np.zeros(shape[1:]) if len(shape) == 2 else None

    def update(self, gradient: np.ndarray) -> np.ndarray:
        self.t += 1
        beta2 = 1 - self.t**-self.c
        squared = gradient**2 + self.eps
        if self.column is None:
            self.row = beta2 * self.row + (1 - beta2) * squared
            second_moment = self.row
        else:
            # R and C are sums in the paper, means here: V = RC / 1R scales the same way.
            self.row = beta2 * self.row + (1 - beta2) * squared.sum(1)
            self.column = beta2 * self.column + (1 - beta2) * squared.sum(0)
            second_moment = np.outer(self.row, self.column) / self.row.sum()
        u = gradient / np.sqrt(second_moment)
        return u / max(1.0, np.sqrt((u**2).mean()) / self.d)


@pytest.mark.parametrize("shape", [(5, 7), (6,)])
@pytest.mark.parametrize("threshold", [1.0, 0.3, None])
def test_ten_steps_follow_the_paper(shape: tuple[int, ...], threshold: float | None) -> None:
    generator = np.random.default_rng(7)
    options = AdafactorOptions(lr=0.02, clip_threshold=threshold)
    parameter = nn.Parameter(torch.tensor(generator.normal(size=shape), dtype=torch.float64))
    expected = parameter.detach().numpy().copy()
    paper = PaperAdafactor(shape, 0.8, np.inf if threshold is None else threshold, 1e-30)
    optimizer = Adafactor(options).create([("weight", parameter)])
    for step in range(10):
        gradient = generator.normal(size=shape) * (50.0 if step == 5 else 1.0)
        parameter.grad = torch.tensor(gradient)
        optimizer.step()
        expected -= 0.02 * paper.update(gradient)
        np.testing.assert_allclose(parameter.detach().numpy(), expected, rtol=1e-9)


def test_a_step_does_not_depend_on_the_size_of_the_parameter() -> None:
    """Scaling by the parameter's size is off: the same gradient moves a large and a small weight alike."""
    moves = []
    for scale in (1.0, 100.0):
        parameter = nn.Parameter(torch.full((3, 4), scale, dtype=torch.float64))
        optimizer = Adafactor(AdafactorOptions(lr=0.1)).create([("weight", parameter)])
        parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        moves.append(scale - parameter.detach())
    torch.testing.assert_close(moves[0], moves[1])
    torch.testing.assert_close(moves[0], torch.full((3, 4), 0.1, dtype=torch.float64))


def test_matrices_cost_memory_by_their_sides_and_a_first_moment_costs_their_area() -> None:
    def state_elements(options: AdafactorOptions) -> int:
        parameter = nn.Parameter(torch.randn(30, 40))
        optimizer = Adafactor(options).create([("weight", parameter)])
        parameter.grad = torch.randn(30, 40)
        optimizer.step()
        return sum(
            value.numel()
            for value in optimizer.state[parameter].values()
            if isinstance(value, torch.Tensor) and value.ndim
        )

    assert state_elements(AdafactorOptions()) == 30 + 40
    assert state_elements(AdafactorOptions(beta1=0.9)) == 30 + 40 + 30 * 40


def test_it_declares_that_it_clips_its_own_updates() -> None:
    assert Adafactor(AdafactorOptions()).clips_updates
