"""Bytes of state for a parameter of a layer, as the papers count them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from zoo.registry import current_registry
from zoo.training.contracts import LayerMatrix, OptimizerFactory
from zoo.training.watch.optimizer_state import optimizer_state_bytes

ROWS, COLUMNS, RANK = 128, 64, 16
NUMBERS = ROWS * COLUMNS
PAPER = {
    "sgd": 4 * NUMBERS,
    "lion": 4 * NUMBERS,
    "adamw": 8 * NUMBERS + 4,  # and a step counter
    "stable-adamw": 8 * NUMBERS + 4,  # and eps squared
    "schedule-free": 8 * NUMBERS,
    "muon": 4 * NUMBERS,
    "adafactor": 4 * (ROWS + COLUMNS + 1),  # section 3; and the parameter's size
    "adam-mini": 4 * (NUMBERS + ROWS),  # one second moment for an output neuron
    "galore": 4 * (COLUMNS * RANK + 2 * ROWS * RANK),  # table 1 with m the smaller side: m r + 2 n r
    "adamw-8bit": 2 * NUMBERS + 2 * 4 * NUMBERS // 256 + 2 * 1024,  # codes, scales, two tables of 256 floats
}


@pytest.mark.parametrize("name", PAPER)
def test_a_matrix_costs_what_the_paper_counts(name: str) -> None:
    component = current_registry().get("optimizer", f"zoo-optimizers/{name}")
    if name == "adamw-8bit":
        pytest.importorskip("bitsandbytes")
    options: dict[str, Any] = {"rank": RANK} if name == "galore" else {}
    factory: OptimizerFactory = component.load()(component.load_options()(**options))
    factory.matrices = (LayerMatrix("up.weight", 0, ROWS, "feedforward"),)
    parameter = nn.Parameter(torch.randn(ROWS, COLUMNS, generator=torch.Generator().manual_seed(1)))
    optimizer = factory.create([("up.weight", parameter)])
    parameter.grad = torch.randn(ROWS, COLUMNS, generator=torch.Generator().manual_seed(2))
    optimizer.step()
    assert optimizer_state_bytes(optimizer) == PAPER[name] == factory.state_bytes([("up.weight", parameter)])
