"""Patch positions outside of a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from zoo.models.vision.contracts import PatchContext, PatchPosition
from zoo.registry import current_registry
from zoo.spec.options import Chosen
from zoo.testing.patch_position import grid_positions

WIDTH = 4


@pytest.fixture
def scheme() -> Callable[..., PatchPosition]:
    """``scheme(name, **options)``: the scheme of that name for one layer of width 4."""

    def make(name: str, **options: Any) -> PatchPosition:
        record = current_registry().get("patch-position", f"zoo-vision/{name}")
        chosen = Chosen(record, record.load_options().model_validate(options))
        context = PatchContext(side="encoder", layers=1, d_model=WIDTH, heads=1, max_positions=8)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            built: PatchPosition = chosen.create(context)
        return built

    return make


@pytest.fixture
def added() -> Callable[..., Tensor]:
    """``added(position, rows, columns)``: what is added to the patches of a grid, ``[rows, columns, D]``."""

    def add(position: PatchPosition, rows: int, columns: int) -> Tensor:
        positions = grid_positions(rows, columns)
        with torch.no_grad():
            return position.embed(torch.zeros(1, rows * columns, WIDTH), positions).view(rows, columns, WIDTH)

    return add
