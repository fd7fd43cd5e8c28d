"""What is asked of the losses of models whose losses are their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from zoo.testing.module import close


def assert_weighed_and_finite(model: Any, output: Any, weights: Mapping[str, float]) -> None:
    """Every loss of `output` is a finite scalar, their weighted sum is its loss, and that has a finite gradient."""
    assert output.losses is not None
    assert set(weights) <= set(output.losses), "a loss is weighed that is not there"
    for name, value in output.losses.items():
        assert value.shape == (), name
        assert torch.isfinite(value), f"{name} is {value}"
    expected = sum(float(output.losses[name].detach()) * weight for name, weight in weights.items())
    close(output.loss.detach(), torch.tensor(expected), 1e-5, "the weighted sum")
    output.loss.backward()
    gradients = [item.grad for item in model.parameters() if item.grad is not None]
    assert all(torch.isfinite(item).all() for item in gradients)
    assert any(item.any() for item in gradients), "no gradient anywhere"
