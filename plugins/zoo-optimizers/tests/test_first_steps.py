"""The first 20 steps of optimizers in single precision against their papers' equations, written out in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from zoo_optimizers.adafactor import Adafactor
from zoo_optimizers.adamw import AdamW
from zoo_optimizers.lion import Lion
from zoo_optimizers.optimizer_options import LionOptions, ScheduleFreeOptions, SgdOptions, StableAdamWOptions
from zoo_optimizers.options import AdafactorOptions, AdamWOptions
from zoo_optimizers.schedule_free import ScheduleFree
from zoo_optimizers.sgd import Sgd
from zoo_optimizers.stable_adamw import StableAdamW

from zoo.training.contracts import OptimizerFactory

Reference = Callable[[np.ndarray, Sequence[np.ndarray]], Iterator[np.ndarray]]
SHAPE, STEPS = (7, 5), 20


def gradients() -> list[np.ndarray]:
    """One of them is a thousand times as large: the stress of `clips_updates`."""
    generator = np.random.default_rng(11)
    found = [generator.normal(size=SHAPE).astype(np.float32).astype(np.float64) for _ in range(STEPS)]
    found[9] *= 1000
    return found


def sgd(mu: float, decay: float, nesterov: bool) -> Reference:
    def steps(w: np.ndarray, gradients: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
        b = np.zeros(SHAPE)
        for gradient in gradients:
            g = gradient + decay * w
            b = mu * b + g
            w = w - 0.01 * (g + mu * b if nesterov else b)
            yield w

    return steps


def lion(w: np.ndarray, gradients: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """Chen et al. 2023, algorithm 2."""
    m = np.zeros(SHAPE)
    for g in gradients:
        w = w - 0.01 * (np.sign(0.9 * m + 0.1 * g) + 0.1 * w)
        m = 0.99 * m + 0.01 * g
        yield w


def adamw(w: np.ndarray, gradients: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """Loshchilov & Hutter 2019, algorithm 2."""
    m, v = np.zeros(SHAPE), np.zeros(SHAPE)
    for t, g in enumerate(gradients, 1):
        m, v = 0.9 * m + 0.1 * g, 0.98 * v + 0.02 * g**2
        w = w - 0.01 * (m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.98**t)) + 1e-8) + 0.1 * w)
        yield w


def stable_adamw(w: np.ndarray, gradients: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """Wortsman et al. 2023, algorithm 2: decays corrected beforehand, RMS_t with u_t after its update."""
    v, u, eps = np.zeros(SHAPE), np.zeros(SHAPE), 1e-6
    for t, g in enumerate(gradients, 1):
        beta1 = 0.9 * (1 - 0.9 ** (t - 1)) / (1 - 0.9**t)
        beta2 = 0.99 * (1 - 0.99 ** (t - 1)) / (1 - 0.99**t)
        v = beta1 * v + (1 - beta1) * g
        u = beta2 * u + (1 - beta2) * g**2
        rms = np.sqrt((g**2 / np.maximum(u, eps**2)).mean())
        rate = 0.01 / max(1.0, rms)
        w = w - rate * 0.1 * w - rate * v / (np.sqrt(u) + eps)
        yield w


def relative_adafactor(warmup_init: bool) -> Reference:
    """Shazeer & Stern 2018, algorithm 4 with the proposed hyperparameters (table 2, section 9)."""

    def steps(x: np.ndarray, gradients: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
        row, column = np.zeros(SHAPE[0]), np.zeros(SHAPE[1])
        for t, g in enumerate(gradients, 1):
            rho = min(1e-6 * t if warmup_init else 1e-2, 1 / np.sqrt(t))
            alpha = max(1e-3, np.sqrt((x**2).mean())) * rho
            beta2 = 1 - t**-0.8
            squared = g**2 + 1e-30
            row = beta2 * row + (1 - beta2) * squared.sum(1)
            column = beta2 * column + (1 - beta2) * squared.sum(0)
            u = g / np.sqrt(np.outer(row, column) / row.sum())
            x = x - alpha * u / max(1.0, np.sqrt((u**2).mean()))
            yield x

    return steps


def schedule_free(w: np.ndarray, gradients: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """Defazio et al. 2024, algorithm 1, with the library's 1.4 correction: of the second moment, not of the rate."""
    z, x, v, weights = w, w, np.zeros(SHAPE), 0.0
    for t, g in enumerate(gradients, 1):
        y = 0.1 * z + 0.9 * x
        v = 0.98 * v + 0.02 * g**2
        z = z - 0.01 * (g / (np.sqrt(v / (1 - 0.98**t)) + 1e-8) + 0.1 * y)
        weights += 0.01**2
        c = 0.01**2 / weights
        x = (1 - c) * x + c * z
        yield 0.1 * z + 0.9 * x


COMMON: dict[str, Any] = {"lr": 0.01, "weight_decay": 0.1}
CASES: dict[str, tuple[OptimizerFactory, Reference]] = {
    "sgd": (Sgd(SgdOptions(lr=0.01, momentum=0.0)), sgd(0.0, 0.0, False)),
    "momentum": (Sgd(SgdOptions(lr=0.01, momentum=0.9, weight_decay=0.1)), sgd(0.9, 0.1, False)),
    "nesterov": (Sgd(SgdOptions(lr=0.01, momentum=0.9, nesterov=True)), sgd(0.9, 0.0, True)),
    "lion": (Lion(LionOptions(**COMMON)), lion),
    "adamw": (AdamW(AdamWOptions(**COMMON, beta2=0.98)), adamw),
    "stable-adamw": (StableAdamW(StableAdamWOptions(**COMMON)), stable_adamw),
    "adafactor": (Adafactor(AdafactorOptions(relative_step=True, scale_parameter=True)), relative_adafactor(False)),
    "adafactor-warmup": (
        Adafactor(AdafactorOptions(relative_step=True, scale_parameter=True, warmup_init=True)),
        relative_adafactor(True),
    ),
    "schedule-free": (ScheduleFree(ScheduleFreeOptions(**COMMON, beta2=0.98)), schedule_free),
}


@pytest.mark.parametrize("name", CASES)
def test_twenty_steps_follow_the_equations(name: str) -> None:
    factory, reference = CASES[name]
    start = np.random.default_rng(5).normal(size=SHAPE).astype(np.float32)
    parameter = nn.Parameter(torch.tensor(start))
    optimizer = factory.create([("layer.weight", parameter)])
    expected = reference(start.astype(np.float64), gradients())
    for gradient, right in zip(gradients(), expected, strict=True):
        parameter.grad = torch.tensor(gradient, dtype=torch.float32)
        optimizer.step()
        np.testing.assert_allclose(parameter.detach().numpy(), right, rtol=1e-5, atol=1e-5 * 0.01)


def test_a_factor_on_the_schedule_reaches_relative_steps() -> None:
    """At half the rate a step is half as long: lr is what rho_t is multiplied by."""
    moves = []
    for factor in (1.0, 0.5):
        parameter = nn.Parameter(torch.full((3, 4), 2.0))
        options = AdafactorOptions.model_validate({"relative_step": True, "scale_parameter": True})
        assert options.lr == 1.0
        optimizer = Adafactor(options).create([("weight", parameter)])
        optimizer.param_groups[0]["lr"] *= factor
        parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        moves.append(2.0 - parameter.detach())
    torch.testing.assert_close(moves[0], torch.full((3, 4), 2.0 * 1e-2))  # RMS(X) rho_1, of an update of size 1
    torch.testing.assert_close(moves[1], moves[0] / 2)


@pytest.mark.parametrize("name", ["stable-adamw", "adafactor"])
def test_after_a_gradient_a_thousand_times_as_large_a_step_is_no_longer_than_a_first_one(name: str) -> None:
    """What clipping of updates is for: AdamW with beta2 0.99 takes about three times as long a step there."""

    def longest(factory: OptimizerFactory, spike: float) -> float:
        parameter = nn.Parameter(torch.zeros(8, 8))
        optimizer = factory.create([("layer.weight", parameter)])
        lengths = []
        for step in range(30):
            before = parameter.detach().clone()
            parameter.grad = torch.full((8, 8), spike if step == 20 else (-1.0) ** step)
            optimizer.step()
            lengths.append(float((parameter.detach() - before).square().mean().sqrt()))
        return max(lengths) / lengths[0]

    bounded: dict[str, OptimizerFactory] = {
        "stable-adamw": StableAdamW(StableAdamWOptions(weight_decay=0.0)),
        "adafactor": Adafactor(AdafactorOptions()),
    }
    assert longest(bounded[name], 1000.0) < 1.01
    assert longest(AdamW(AdamWOptions(beta1=0.0, beta2=0.99, weight_decay=0.0)), 1000.0) > 3
