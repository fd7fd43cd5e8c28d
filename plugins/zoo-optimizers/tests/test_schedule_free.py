"""Schedule-free: what the model is while it is served, and while it is trained."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from zoo_optimizers.optimizer_options import ScheduleFreeOptions
from zoo_optimizers.schedule_free import ScheduleFree


def test_the_average_is_served() -> None:
    """With a constant rate x is the mean of all z, and z = z - lr g / sqrt(v)."""
    factory = ScheduleFree(ScheduleFreeOptions(lr=0.1, beta2=0.0))
    start = np.array([[1.0, -2.0]])
    parameter = nn.Parameter(torch.tensor(start))
    optimizer = factory.create([("layer.weight", parameter)])
    generator = np.random.default_rng(1)
    z, seen = start, []
    for _ in range(6):
        gradient = generator.normal(size=start.shape)
        parameter.grad = torch.tensor(gradient)
        optimizer.step()
        z = z - 0.1 * np.sign(gradient)  # g / sqrt(g^2): no memory of squares
        seen.append(z)
    with factory.serving(optimizer):
        np.testing.assert_allclose(parameter.detach().numpy(), np.mean(seen, 0), atol=1e-6)
    np.testing.assert_allclose(parameter.detach().numpy(), 0.1 * z + 0.9 * np.mean(seen, 0), atol=1e-6)


def test_steps_of_a_warm_up_weigh_by_the_square_of_the_largest_rate() -> None:
    factory = ScheduleFree(ScheduleFreeOptions(lr=0.1, beta2=0.0))
    parameter = nn.Parameter(torch.zeros(1, 1, dtype=torch.float64))
    optimizer = factory.create([("layer.weight", parameter)])
    z, weights, seen = 0.0, [], []
    for rate in (0.0, 0.05, 0.1, 0.1):
        optimizer.param_groups[0]["lr"] = rate
        parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        z -= rate
        weights.append(rate**2)
        seen.append(z)
    with factory.serving(optimizer):
        np.testing.assert_allclose(parameter.item(), np.average(seen, weights=weights), atol=1e-6)
