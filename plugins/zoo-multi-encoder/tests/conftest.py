"""Small models with a context encoder."""

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
    def make(name: str | None = "outside", *, seed: int = 3, changes: dict[str, Any] | None = None, **more: Any) -> Any:
        plain: dict[str, Any] = {
            "d_model": 16,
            "heads": 2,
            "encoder": {"layers": 2},
            "decoder": {"layers": 2},
            "position": "zoo-positional/sinusoidal",
            "block": "zoo-blocks/post-norm",
            "normalization": "zoo-blocks/layer-norm",
            "feedforward": {"use": "zoo-blocks/mlp", "width": 24},
            "fusion": "zoo-fusion/top",
            "context_encoder": None if name is None else {"use": f"zoo-multi-encoder/{name}", **more},
            "dropout": 0.0,
            "max_positions": 64,
        }
        return assemble(ModelSection.model_validate(plain | (changes or {})), VOCABULARY, seed=seed).eval()

    return make


@pytest.fixture
def sentences() -> dict[str, torch.Tensor]:
    """Sources of 6, 4 and 5 tokens, contexts of 3, 7 and none, targets of 5."""
    draw = torch.Generator().manual_seed(11)
    source = torch.randint(4, VOCABULARY, (3, 6), generator=draw)
    source[1, 4:] = 0
    source[2, 5:] = 0
    context = torch.randint(4, VOCABULARY, (3, 7), generator=draw)
    context[0, 3:] = 0
    context[2] = 0
    target = torch.randint(4, VOCABULARY, (3, 5), generator=draw)
    target[:, 0] = 0
    return {
        "input_ids": source,
        "attention_mask": source.ne(0).long(),
        "decoder_input_ids": target,
        "context_input_ids": context,
        "context_attention_mask": context.ne(0).long(),
    }
