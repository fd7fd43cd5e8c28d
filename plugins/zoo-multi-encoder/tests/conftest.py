"""Small models with a context encoder."""

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
    def make(name: str | None = "outside", *, seed: int = 3, changes: dict[str, Any] | None = None, **more: Any) -> Any:
        chosen = None if name is None else {"use": f"zoo-multi-encoder/{name}", **more}
        return plain_model(vocabulary=VOCABULARY, seed=seed, context_encoder=chosen, **(changes or {})).eval()

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
