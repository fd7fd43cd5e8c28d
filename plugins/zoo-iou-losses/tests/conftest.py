"""Losses by name, as a spec has them, and boxes to try them on."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from zoo.models.boxes import BoxLoss
from zoo.registry import current_registry
from zoo.spec.options import Chosen


def build(name: str, **options: Any) -> BoxLoss:
    """The loss ``zoo-iou-losses/<name>``, at rest."""
    record = current_registry().get("box-loss", f"zoo-iou-losses/{name}")
    loss: BoxLoss = Chosen(record, record.load_options().model_validate(options)).create()
    return loss.eval()


@pytest.fixture(scope="session")
def loss_named() -> Any:
    """``loss_named(name, **options)``"""
    return build


@pytest.fixture(scope="session")
def boxes() -> tuple[Tensor, Tensor]:
    """Predicted and target boxes ``[200, 4]`` of pixels, float64, none of them square: a third apart, some nested."""
    draw = torch.Generator().manual_seed(4)
    corner = 60 * torch.rand(2, 200, 2, generator=draw, dtype=torch.float64)
    sides = 4 + 60 * torch.rand(2, 200, 2, generator=draw, dtype=torch.float64)
    sides[..., 0] *= 1.7
    predicted, target = torch.cat((corner, corner + sides), -1)
    return predicted, target
