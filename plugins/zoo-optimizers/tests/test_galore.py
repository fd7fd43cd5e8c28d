"""GaLore against the paper's algorithm and against the authors' library, and its steps in the backward pass."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from zoo_optimizers.composite import CompositeInBackward
from zoo_optimizers.galore import GaLore
from zoo_optimizers.optimizer_options import GaLoreOptions

from zoo.testing.training import sample_matrices, sample_parameters
from zoo.training.contracts import NamedParameters

QKV, UP = "encoder.layers.0.attention.qkv.weight", "encoder.layers.0.feedforward.up.weight"
SetGradients = Callable[[NamedParameters, int], None]

RANK, GAP, ALPHA = 2, 3, 0.5
OPTIONS: dict[str, Any] = {"lr": 0.01, "rank": RANK, "update_gap": GAP, "scale": ALPHA}


def galore(**options: Any) -> GaLore:
    factory = GaLore(GaLoreOptions(**{**OPTIONS, **options}))
    factory.matrices = sample_matrices()
    return factory


def projection(optimizer: Any, rows: slice | None) -> np.ndarray:
    """The matrix that the optimizer projects by, for its signs, which a singular vector leaves open."""
    (part,) = optimizer.parts
    (piece,) = (piece for piece in part.pieces if piece.name == (UP if rows is None else QKV) and piece.rows == rows)
    return np.asarray(part.optimizer.state[piece.view]["projector"].ortho_matrix)


@pytest.mark.parametrize("rows", [None, slice(8, 16)], ids=["feedforward", "key"])
def test_twenty_steps_follow_the_paper_in_float64(rows: slice | None, set_gradients: SetGradients) -> None:
    """Algorithm 2; of m x n with m >= n, the right singular vectors."""
    parameters = sample_parameters()[:-1]
    optimizer = galore().create(parameters)
    parameter = dict(parameters)[UP if rows is None else QKV]
    inside = rows or slice(None)
    expected = parameter.detach().double().numpy()[inside].copy()
    m = v = np.zeros((len(expected), RANK))
    right = np.zeros((RANK, 8))
    for t in range(20):
        set_gradients(parameters, t)
        assert parameter.grad is not None
        g = parameter.grad.double().numpy()[inside]
        optimizer.step()
        if t % GAP == 0:
            right = np.linalg.svd(g)[2][:RANK]
            signs = np.sign((right * projection(optimizer, rows)).sum(1, keepdims=True))
            right = right * signs
            np.testing.assert_allclose(right, projection(optimizer, rows), atol=1e-5)
        r = g @ right.T
        m, v = 0.9 * m + 0.1 * r, 0.999 * v + 0.001 * r**2
        step = np.sqrt(1 - 0.999 ** (t + 1)) / (1 - 0.9 ** (t + 1)) * m / (np.sqrt(v) + 1e-6)
        expected -= 0.01 * ALPHA * step @ right
        np.testing.assert_allclose(parameter.detach().numpy()[inside], expected, rtol=1e-5, atol=1e-6)


def test_twenty_steps_are_those_of_the_authors_library(set_gradients: SetGradients) -> None:
    library = pytest.importorskip("galore_torch")
    parameters, twins = sample_parameters()[:-1], sample_parameters()[:-1]
    one = galore(weight_decay=0.1, no_decay=[]).create(parameters)
    projected = {"rank": RANK, "update_proj_gap": GAP, "scale": ALPHA, "proj_type": "std"}
    up = dict(twins)[UP]
    others = [twin for name, twin in twins if name not in {UP, QKV}]
    groups = [{"params": [up], **projected}, {"params": others}]
    other = library.GaLoreAdamW(groups, lr=0.01, eps=1e-6, weight_decay=0.1, no_deprecation_warning=True)
    for t in range(20):
        for optimizer, named in ((one, parameters), (other, twins)):
            set_gradients(named, t)
            optimizer.step()
    for (name, parameter), (_, twin) in zip(parameters, twins, strict=True):
        if name != QKV:
            torch.testing.assert_close(parameter, twin, rtol=1e-5, atol=1e-6, msg=name)


class Model(nn.Module):
    """Two layers, whose gradients come one after the other."""

    def __init__(self) -> None:
        super().__init__()
        for name, parameter in sample_parameters()[:-1]:
            self.register_parameter(name.replace(".", "_"), parameter)

    def named(self) -> list[tuple[str, nn.Parameter]]:
        names = [name for name, _ in sample_parameters()[:-1]]
        return list(zip(names, self.parameters(), strict=True))

    def loss(self, step: int) -> torch.Tensor:
        x = torch.randn((4, 8), generator=torch.Generator().manual_seed(step))
        table, qkv, up, bias, norm = self.parameters()
        query, key, value = nn.functional.linear(x * norm, qkv).chunk(3, -1)
        mixed = torch.softmax(query @ key.T, -1) @ value
        hidden = torch.relu(nn.functional.linear(mixed, up, bias))
        return (hidden @ torch.ones(16, 8) @ table[:9].T - 1).square().mean()


def trained(model: Model, optimizer: Any, steps: range, *, backward_only: bool = False) -> list[float]:
    schedule = LambdaLR(optimizer, lambda step: 1 / (steps.start + step + 1))
    norms = []
    for step in steps:
        model.loss(step).backward()
        if backward_only:
            norms.append(float(optimizer.gradient_norm()))
            assert all(parameter.grad is None for parameter in model.parameters())
        else:
            norms.append(float(nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])))
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    return norms


def test_steps_in_the_backward_pass_are_those_of_steps_after_it() -> None:
    """With the schedule's rates, and with the norm of gradients that nobody can see any more."""
    one, other = Model(), Model()
    after = trained(one, galore().create(one.named()), range(8))
    optimizer = galore(per_layer=True).create(other.named())
    during = trained(other, optimizer, range(8), backward_only=True)
    assert during == pytest.approx(after, rel=1e-5)
    for (name, left), (_, right) in zip(one.named(), other.named(), strict=True):
        assert torch.equal(left, right), name


def test_steps_in_the_backward_pass_are_taken_up_from_a_checkpoint() -> None:
    whole, cut = Model(), Model()
    keep = galore(per_layer=True).create(whole.named())  # held: without its optimizer a parameter is not moved
    trained(whole, keep, range(8), backward_only=True)
    first = galore(per_layer=True).create(cut.named())
    trained(cut, first, range(5), backward_only=True)
    saved = first.state_dict()
    resumed = Model()
    resumed.load_state_dict(cut.state_dict())
    second = galore(per_layer=True).create(resumed.named())
    second.load_state_dict(saved)
    for group in second.param_groups:
        del group["initial_lr"]
        group["lr"] = OPTIONS["lr"]
    trained(resumed, second, range(5, 8), backward_only=True)
    for (name, left), (_, right) in zip(whole.named(), resumed.named(), strict=True):
        assert torch.equal(left, right), name


def test_an_optimizer_that_is_gone_moves_nothing() -> None:
    model = Model()
    optimizer = galore(per_layer=True).create(model.named())
    assert isinstance(optimizer, CompositeInBackward)
    del optimizer
    gc.collect()
    model.loss(0).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert all(
        torch.equal(left, right) for (_, left), (_, right) in zip(model.named(), sample_parameters()[:-1], strict=True)
    )


def test_a_higher_rank_than_a_matrix_has_is_its_own(set_gradients: SetGradients) -> None:
    parameters = sample_parameters()[:-1]
    optimizer = galore(rank=128).create(parameters)
    set_gradients(parameters, 0)
    optimizer.step()
    assert projection(optimizer, None).shape == (8, 8)


def test_a_gradient_that_is_not_finite_shows_in_the_weights_instead_of_an_exception(
    set_gradients: SetGradients,
) -> None:
    parameters = sample_parameters()[:-1]
    optimizer = galore().create(parameters)
    set_gradients(parameters, 0)
    up = dict(parameters)[UP]
    assert up.grad is not None
    up.grad[0, 0] = float("nan")
    optimizer.step()
    assert up.isnan().any()
