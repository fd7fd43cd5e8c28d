"""Muon's direction, its rate, and what AdamW moves beside it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from zoo_optimizers.adamw import AdamW
from zoo_optimizers.muon import Muon
from zoo_optimizers.optimizer_options import MuonOptions
from zoo_optimizers.options import AdamWOptions

from zoo.testing.training import sample_matrices, sample_parameters
from zoo.training.contracts import NamedParameters

QKV, UP = "encoder.layers.0.attention.qkv.weight", "encoder.layers.0.feedforward.up.weight"
SetGradients = Callable[[NamedParameters, int], None]

pytestmark = pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch has no Muon")


def newton_schulz(gradient: np.ndarray) -> np.ndarray:
    """Jordan 2024: five quintic iterations, in float64."""
    x = gradient / np.linalg.norm(gradient)
    for _ in range(5):
        square = x @ x.T
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x


@pytest.mark.parametrize(("adjustment", "factor"), [("match-rms", 0.2 * 16**0.5), ("original", (16 / 8) ** 0.5)])
@pytest.mark.parametrize(("rounded", "within"), [(False, 1e-5), (True, 0.02)])
def test_twenty_steps_of_a_matrix_follow_the_equations(
    adjustment: str,
    factor: float,
    rounded: bool,
    within: float,
    set_gradients: SetGradients,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To 1e-5 of the way gone where torch's Newton-Schulz iterations are kept in float32; their rounding to bfloat16,
    which is the method's own, makes up to 2 per cent.
    """
    if not rounded:
        monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
    parameters = sample_parameters()[:-1]
    options = MuonOptions.model_validate({"lr": 0.01, "adjustment": adjustment, "weight_decay": 0.1})
    factory = Muon(options)
    factory.matrices = sample_matrices()
    optimizer = factory.create(parameters)
    parameter = dict(parameters)[UP]
    start = parameter.detach().double().numpy().copy()
    expected, momentum = start.copy(), np.zeros((16, 8))
    for step in range(20):
        set_gradients(parameters, step)
        assert parameter.grad is not None
        g = parameter.grad.double().numpy()
        momentum = 0.95 * momentum + 0.05 * g
        update = newton_schulz(0.05 * g + 0.95 * momentum)
        expected = expected * (1 - 0.01 * 0.1) - 0.01 * factor * update
        optimizer.step()
    away = np.linalg.norm(parameter.detach().numpy() - expected) / np.linalg.norm(expected - start)
    assert away < within
    assert (away > 1e-4) == rounded


def test_what_is_no_matrix_of_a_layer_moves_as_adamw_moves_it(set_gradients: SetGradients) -> None:
    parameters, twins = sample_parameters()[:-1], sample_parameters()[:-1]
    factory = Muon(MuonOptions(lr=0.02, adamw_lr=0.003, weight_decay=0.1))
    factory.matrices = sample_matrices()
    one = factory.create(parameters)
    other = AdamW(AdamWOptions(lr=0.003, beta2=0.95, weight_decay=0.1)).create(twins)
    for step in range(5):
        for optimizer, named in ((one, parameters), (other, twins)):
            set_gradients(named, step)
            optimizer.step()
    for (name, parameter), (_, twin) in zip(parameters, twins, strict=True):
        assert torch.equal(parameter, twin) == (name not in {QKV, UP}), name


def test_a_schedule_scales_both_rates() -> None:
    factory = Muon(MuonOptions(lr=0.02, adamw_lr=0.003))
    factory.matrices = sample_matrices()
    optimizer = factory.create(sample_parameters()[:-1])
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5)
    assert schedule.get_last_lr() == [0.01, 0.0015]
    before = optimizer.state_dict()["param_groups"]
    optimizer.step()
    assert [group["lr"] for group in before] == [0.01, 0.0015]
