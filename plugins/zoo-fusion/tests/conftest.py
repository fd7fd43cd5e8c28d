"""Small models with every kind of fusion."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from zoo.models import assemble
from zoo.spec.sections import ModelSection

VOCABULARY = 53


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def make_model() -> Callable[..., Any]:
    def make(fusion: Any = "zoo-fusion/top", *, seed: int = 3, **changes: Any) -> Any:
        plain: dict[str, Any] = {
            "d_model": 16,
            "heads": 2,
            "encoder": {"layers": 2},
            "decoder": {"layers": 2},
            "position": "zoo-positional/sinusoidal",
            "block": "zoo-blocks/post-norm",
            "normalization": "zoo-blocks/layer-norm",
            "feedforward": {"use": "zoo-blocks/mlp", "width": 24},
            "fusion": fusion,
            "dropout": 0.0,
            "max_positions": 64,
        }
        section = ModelSection.model_validate(plain | changes)
        model = assemble(section, VOCABULARY, seed=seed).eval()
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
