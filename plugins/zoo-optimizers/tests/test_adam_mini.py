"""Adam-mini's blocks against algorithm 1 of the paper in float64, however parameters are named."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn
from zoo_optimizers.adam_mini import AdamMini
from zoo_optimizers.optimizer_options import AdamMiniOptions

from zoo.testing.training import sample_matrices, sample_parameters
from zoo.training.contracts import NamedParameters
from zoo.training.watch.optimizer_state import optimizer_state_bytes

ROWS = {"qkv.weight": [4, 4, 4, 4, *[1] * 8], "up.weight": [1] * 16, "embeddings.weight": [1] * 520, "0.weight": [8]}
"""How many rows (of a vector, numbers) share a second moment: two heads of the query, two of the key, then neurons."""


def shared(squared: np.ndarray, rows: list[int]) -> np.ndarray:
    """Each number's block mean."""
    edges = np.cumsum(rows)[:-1]
    return np.concatenate([np.full_like(block, block.mean()) for block in np.split(squared, edges)])


def test_twenty_steps_follow_the_paper(set_gradients: Callable[[NamedParameters, int], None]) -> None:
    parameters = sample_parameters()[:-1]
    rows = {
        name: next(rows for end, rows in ROWS.items() if name.endswith(end))
        for name, p in parameters
        if p.ndim == 2 or "norms" in name
    }
    factory = AdamMini(AdamMiniOptions(lr=0.01, beta2=0.95, weight_decay=0.1))
    factory.matrices = sample_matrices()
    optimizer = factory.create(parameters)
    expected = {name: parameter.detach().double().numpy() for name, parameter in parameters}
    m = {name: np.zeros_like(weight) for name, weight in expected.items()}
    v = {name: np.zeros_like(weight) for name, weight in expected.items()}
    for t in range(1, 21):
        set_gradients(parameters, t)
        for name, parameter in parameters:
            assert parameter.grad is not None
            g = parameter.grad.double().numpy()
            mean = shared(g**2, rows[name]) if name in rows else g**2
            m[name], v[name] = 0.9 * m[name] + 0.1 * g, 0.95 * v[name] + 0.05 * mean
            decay = 0.1 if parameter.ndim == 2 else 0.0
            step = m[name] / (1 - 0.9**t) / (np.sqrt(v[name] / (1 - 0.95**t)) + 1e-8)
            expected[name] = expected[name] * (1 - 0.01 * decay) - 0.01 * step
        optimizer.step()
        for name, parameter in parameters:
            np.testing.assert_allclose(parameter.detach().numpy(), expected[name], rtol=1e-5, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("name", ["query_norm.weight", "mlp.norm", "value.scale", "wk_embed_output", "key"])
@pytest.mark.parametrize("shape", [(6,), (4, 3), (2, 3, 2), ()])
def test_a_name_that_the_library_would_take_for_a_block_routes_nothing(name: str, shape: tuple[int, ...]) -> None:
    moved = []
    for called in (name, "x"):
        parameter = nn.Parameter(torch.ones(shape))
        optimizer = AdamMini(AdamMiniOptions()).create([(called, parameter)])
        parameter.grad = torch.arange(1.0, parameter.numel() + 1).view(shape)
        optimizer.step()
        moved.append((parameter.detach(), optimizer_state_bytes(optimizer)))
    torch.testing.assert_close(moved[0], moved[1], rtol=0, atol=0)
