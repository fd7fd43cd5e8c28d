"""Small models with every kind of fusion."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from zoo.registry import use_registry
from zoo.testing.plain import plain_model, with_plain_components
from zoo.testing.surroundings import one_thread

VOCABULARY = 53


@pytest.fixture(autouse=True)
def _plain_components_on_one_thread() -> Iterator[None]:
    with one_thread(), use_registry(with_plain_components()):
        yield


@pytest.fixture
def make_model() -> Callable[..., Any]:
    def make(fusion: Any = "zoo-fusion/top", *, seed: int = 3, **changes: Any) -> Any:
        model = plain_model(vocabulary=VOCABULARY, seed=seed, fusion=fusion, **changes).eval()
        # Equal weights and zero biases would hide a mistake.
        draw = torch.Generator().manual_seed(8)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "fusion" in name:
                    parameter.add_(0.3 * torch.randn(parameter.shape, generator=draw))
        return model

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
