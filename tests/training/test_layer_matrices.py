"""Where the matrices of a model's layers stand in its parameters."""

from __future__ import annotations

from collections.abc import Callable

import torch

from zoo.models import assemble
from zoo.models.initialization import matrices_of
from zoo.spec import Spec
from zoo.training.layer_matrices import layer_matrices


def test_rows_of_fused_parameters_are_told_apart(make_spec: Callable[..., Spec]) -> None:
    model = assemble(make_spec().model, 160, seed=1)
    parameters = list(model.named_parameters())
    found = layer_matrices(model, parameters)
    weights, expected = dict(parameters), list(matrices_of(model))
    assert len(found) == len(expected) == (4 + 2) + (4 + 4 + 2)  # encoder: q k v out, up down; decoder: both attentions
    for matrix in expected:
        (one,) = (item for item in found if weights[item.parameter][item.start].data_ptr() == matrix.weight.data_ptr())
        assert torch.equal(weights[one.parameter][one.start : one.stop], matrix.weight)
        assert one.role == matrix.role
        assert one.head_dim == (8 if one.role in {"query", "key", "value"} else None)
    fused = [(item.role, item.start, item.stop) for item in found if item.parameter.endswith("qkv.weight")]
    assert fused == [("query", 0, 16), ("key", 16, 32), ("value", 32, 48)] * 2


def test_parameters_that_are_not_trained_are_left_out(make_spec: Callable[..., Spec]) -> None:
    model = assemble(make_spec().model, 160, seed=1)
    some = [(name, parameter) for name, parameter in model.named_parameters() if "encoder.layers" in name]
    assert {matrix.parameter for matrix in layer_matrices(model, some)} < {name for name, _ in some}
