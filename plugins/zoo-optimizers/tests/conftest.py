"""Gradients for the sample parameters of zoo's kit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from zoo.training.contracts import NamedParameters

SetGradients = Callable[[NamedParameters, int], None]
FUSED = ("query", "key", "value")


@pytest.fixture
def set_gradients() -> SetGradients:
    """``set_gradients(parameters, step)``: random; of a query, key and value alike in one parameter or three."""

    def set_all(parameters: NamedParameters, step: int) -> None:
        fused = torch.randn((24, 8), generator=torch.Generator().manual_seed(100 + step))
        for name, parameter in parameters:
            generator = torch.Generator().manual_seed(1000 * step + sum(map(ord, name)))
            if name in FUSED:
                parameter.grad = fused.chunk(3)[FUSED.index(name)].clone()
            elif name.endswith("qkv.weight"):
                parameter.grad = fused.clone()
            else:
                parameter.grad = torch.randn(parameter.shape, generator=generator)

    return set_all
