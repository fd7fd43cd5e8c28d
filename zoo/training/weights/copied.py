"""Weights that are kept in memory while training goes on."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


def copied_weights(model: nn.Module) -> dict[str, Tensor]:
    """A copy of every weight on the CPU; of one that has several names, under the first of them."""
    found: dict[Any, str] = {}
    state = model.state_dict()
    for name, tensor in state.items():
        found.setdefault((tensor.data_ptr(), tensor.shape, tensor.stride()), name)
    names = set(found.values())
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in state.items() if name in names}
