"""Small models for the tests of the model room."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from zoo.models import ZooForConditionalGeneration, assemble
from zoo.registry import Component, Registry, use_registry
from zoo.registry.component import RegisteredComponent
from zoo.registry.discovery import PluginReport, discover
from zoo.spec.model_section import ModelSection
from zoo.testing.surroundings import one_thread

VOCABULARY = 53
PRIVATE = {
    "shared-table": ("position", "SharedTable"),
    "layer-tables": ("position", "LayerTables"),
    "shaw-both-sides": ("position", "ShawBothSides"),
    "key-side": ("position", "KeySide"),
    "weighted-layers": ("fusion", "WeightedLayers"),
    "mark-matrices": ("initialization", "MarkMatrices"),
    "leave-matrices": ("initialization", "LeaveMatrices"),
}

MakeSection = Callable[..., ModelSection]
MakeModel = Callable[..., ZooForConditionalGeneration]


def _private_registry() -> Registry:
    name = "zoo_private_test_components"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("private_components.py"))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    found = discover()
    found.reports.append(PluginReport("zoo-private", "0", "private", name, status="ok"))
    for component, (kind, target) in PRIVATE.items():
        declared = Component(kind=kind, name=component, target=f"{name}:{target}", summary="only for tests")
        found.components.append(RegisteredComponent(declared, "zoo-private", "0"))
    return Registry(found)


REGISTRY = _private_registry()
POSITIONS = [item.id for item in REGISTRY.components("position")]
"""Every position scheme that is installed, and the private ones."""
OPTIONS: dict[str, dict[str, Any]] = {
    # No random offset: passes in training are compared.
    "zoo-positional/shape": {"max_offset": 1, "evaluation_offset": 0},
    # So short that the sentences reach the ends of the tables.
    "zoo-positional/shaw": {"clip": 2},
    "zoo-positional/t5": {"buckets": 8, "max_distance": 5},
    "zoo-positional/p-transformer": {"relative": "shaw-keys-and-values", "clip": 3},
    "zoo-positional/deberta": {"clip": 3},
    "zoo-positional/transformer-xl": {"clip": 3},
    "zoo-positional/sum": {"of": [{"use": "shaw", "clip": 1}, {"use": "rotary", "values": "inverse"}]},
}
"""Options that schemes are tried with; the defaults for the others."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "position" in metafunc.fixturenames:
        metafunc.parametrize("position", POSITIONS)


@pytest.fixture(autouse=True)
def _few_threads_and_private_components() -> Iterator[None]:
    with one_thread(), use_registry(REGISTRY):
        yield


@pytest.fixture
def make_section() -> MakeSection:
    def make(position: Any = "zoo-positional/sinusoidal", **changes: Any) -> ModelSection:
        if isinstance(position, str) and position in OPTIONS:
            position = {"use": position, **OPTIONS[position]}
        plain: dict[str, Any] = {
            "d_model": 32,
            "heads": 4,
            "encoder": {"layers": 2},
            "decoder": {"layers": 2},
            "position": position,
            "block": "post-norm",
            "normalization": "layer-norm",
            "feedforward": {"use": "mlp", "width": 48, "activation": "relu"},
            "fusion": "top",
            "dropout": 0.0,
            "max_positions": 64,
        }
        return ModelSection.model_validate(plain | changes, context={"registry": REGISTRY})

    return make


@pytest.fixture
def make_model(make_section: MakeSection) -> MakeModel:
    """A model in evaluation mode whose weights are large enough that every part shows in the logits."""

    def make(position: Any = "zoo-positional/sinusoidal", *, seed: int = 3, **changes: Any) -> Any:
        return assemble(make_section(position, **changes), VOCABULARY, seed=seed).eval()

    return make


@pytest.fixture
def sentences() -> dict[str, torch.Tensor]:
    """Two sources of 6 and 4 tokens, right-padded, and two targets of 5."""
    draw = torch.Generator().manual_seed(11)
    source = torch.randint(4, VOCABULARY, (2, 6), generator=draw)
    source[1, 4:] = 0
    target = torch.randint(4, VOCABULARY, (2, 5), generator=draw)
    target[:, 0] = 0
    return {"input_ids": source, "attention_mask": (source != 0).long(), "decoder_input_ids": target}
