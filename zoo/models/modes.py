"""Evaluation mode for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def evaluating(model: Any, *, gradients: bool = False) -> Iterator[None]:
    """Put the model in evaluation mode (no dropout), with or without gradients.

    Afterwards every part has its own mode again: one that rests while the model trains goes on resting.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.set_grad_enabled(gradients):
            yield
    finally:
        for module, training in modes:
            module.training = training
