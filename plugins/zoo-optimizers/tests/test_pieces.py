"""Optimizers that see matrices: a fused projection is moved as its query, key and value would be."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from zoo_optimizers.adam_mini import AdamMini
from zoo_optimizers.galore import GaLore
from zoo_optimizers.muon import Muon
from zoo_optimizers.optimizer_options import AdamMiniOptions, GaLoreOptions, MuonOptions
from zoo_optimizers.pieces import pieces_of

from zoo.errors import ZooError
from zoo.models.contracts import Role
from zoo.testing.training import sample_matrices, sample_parameters
from zoo.training.contracts import LayerMatrix, NamedParameters, OptimizerFactory

SetGradients = Callable[[NamedParameters, int], None]

ROLES: tuple[Role, ...] = ("query", "key", "value")


def separate_parameters() -> list[tuple[str, nn.Parameter]]:
    """The sample, with a query, a key and a value of their own."""
    table, (_, fused), *others = sample_parameters()
    parts = [(role, nn.Parameter(part.clone())) for role, part in zip(ROLES, fused.detach().chunk(3), strict=True)]
    return [table, *parts, *others]


def factories() -> dict[str, OptimizerFactory]:
    return {
        "muon": Muon(MuonOptions()),
        "galore": GaLore(GaLoreOptions(rank=2, update_gap=2, weight_decay=0.1)),
        "adam-mini": AdamMini(AdamMiniOptions()),
    }


@pytest.mark.parametrize("name", ["muon", "galore", "adam-mini"])
def test_a_fused_projection_moves_as_its_parts_would(name: str, set_gradients: SetGradients) -> None:
    fused, together = sample_parameters(), factories()[name]
    apart, separate = separate_parameters(), factories()[name]
    together.matrices = sample_matrices()
    separate.matrices = tuple(LayerMatrix(role, 0, 8, role, 4) for role in ROLES) + sample_matrices()[3:]
    one, other = together.create(fused), separate.create(apart)
    for step in range(5):
        for optimizer, parameters in ((one, fused), (other, apart)):
            set_gradients(parameters, step)
            optimizer.step()
    by_name = dict(apart)
    by_name[fused[1][0]] = nn.Parameter(torch.cat([by_name[role].detach() for role in ROLES]))
    for own, parameter in fused:
        torch.testing.assert_close(parameter, by_name[own], rtol=0, atol=0, msg=own)


def test_a_parameter_is_cut_only_where_matrices_cover_it() -> None:
    parameters, matrices = sample_parameters(), sample_matrices()
    assert [len(piece.view) for piece in pieces_of(parameters, matrices)] == [520, 8, 8, 8, 16, 16, 8, 4]
    assert [len(piece.view) for piece in pieces_of(parameters, matrices[1:])] == [520, 24, 16, 16, 8, 4]


def test_a_parameter_that_was_moved_in_memory_is_still_the_one_that_moves(set_gradients: SetGradients) -> None:
    parameters, factory = sample_parameters()[:-1], factories()["muon"]
    factory.matrices = sample_matrices()
    optimizer = factory.create(parameters)
    fused = parameters[1][1]
    fused.data = fused.data.clone()
    before = fused.detach().clone()
    set_gradients(parameters, 0)
    optimizer.step()
    assert (fused.detach() != before).any(1).all()


@pytest.mark.parametrize("name", ["muon", "galore"])
def test_without_matrices_of_layers_adamw_is_named(name: str) -> None:
    with pytest.raises(ZooError, match="take adamw"):
        factories()[name].create(sample_parameters()[:-1])
