"""Gradients of embedding rows by the frequency of their tokens."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from zoo.training.data.ragged import EncodedPairs, Ragged, offsets_of
from zoo.training.watch.token_gradients import TokenGradients

VOCABULARY = 6
# Source: token 1 once, 2 nine times, 3 ten times, 4 a hundred times; target: token 1 nine times, 5 once.
SOURCE = [1] + [2] * 9 + [3] * 10 + [4] * 100
TARGET = [1] * 9 + [5]


def side(*ids: int) -> Ragged:
    return Ragged(np.array(ids, np.int32), offsets_of(np.array([len(ids)])))


PAIRS = EncodedPairs(side(*SOURCE), side(*TARGET), 0)


def model_of(encoder: nn.Module | None, decoder: nn.Module, head: nn.Module) -> Any:
    stacks = {"encoder": encoder, "decoder": decoder}
    there = {name: SimpleNamespace(embed_tokens=table) for name, table in stacks.items() if table is not None}
    return SimpleNamespace(**there, get_output_embeddings=lambda: head)


def table() -> nn.Embedding:
    return nn.Embedding(VOCABULARY, 2)


def set_rows(module: nn.Module, norms: list[float]) -> None:
    """Gradients whose rows have these norms."""
    module.weight.grad = torch.tensor(norms)[:, None] * torch.tensor([[0.6, 0.8]])


def test_a_shared_table_counts_its_tokens_on_both_sides() -> None:
    shared = table()
    measured = TokenGradients(model_of(shared, shared, shared), PAIRS)
    # 0 never; 5 once, 2 nine times; 1 and 3 ten times; 4 a hundred times.
    assert measured.sizes() == {"tokens 0": 1, "tokens 1-9": 2, "tokens 10-99": 2, "tokens 100-999": 1}
    set_rows(shared, [7.0, 3.0, 1.0, 4.0, 5.0, 1.0])
    found = {name: value.item() for name, value in measured.measure("norm").items()}
    assert found == pytest.approx(
        {
            "tokens 0.norm": 7.0,
            "tokens 1-9.norm": 1.0,
            "tokens 10-99.norm": ((9 + 16) / 2) ** 0.5,
            "tokens 100-999.norm": 5.0,
        }
    )


def test_tables_of_their_own_count_their_own_side() -> None:
    source, target, head = table(), table(), nn.Linear(2, VOCABULARY)
    measured = TokenGradients(model_of(source, target, head), PAIRS)
    assert measured.sizes() == {
        "source tokens 0": 2,
        "source tokens 1-9": 2,
        "source tokens 10-99": 1,
        "source tokens 100-999": 1,
        "target tokens 0": 4,
        "target tokens 1-9": 2,
        "output tokens 0": 4,
        "output tokens 1-9": 2,
    }
    for module, norm in ((source, 1.0), (target, 2.0), (head, 3.0)):
        set_rows(module, [norm] * VOCABULARY)
    found = measured.measure("clipped_norm")
    assert found["source tokens 10-99.clipped_norm"].item() == pytest.approx(1.0)
    assert found["target tokens 1-9.clipped_norm"].item() == pytest.approx(2.0)
    assert found["output tokens 0.clipped_norm"].item() == pytest.approx(3.0)


def test_an_output_tied_to_the_targets_table_is_not_told_twice() -> None:
    source, target = table(), table()
    parts = TokenGradients(model_of(source, target, target), PAIRS).sizes()
    assert {name.rpartition(" ")[0] for name in parts} == {"source tokens", "target tokens"}


def test_a_language_models_only_table_counts_both_sides() -> None:
    only = table()
    assert TokenGradients(model_of(None, only, only), PAIRS).sizes()["tokens 10-99"] == 2


def test_a_table_that_is_not_trained_is_left_out_and_one_without_a_gradient_is_still() -> None:
    source, target = table(), table()
    source.weight.requires_grad_(False)
    measured = TokenGradients(model_of(source, target, target), PAIRS)
    assert {name: value.item() for name, value in measured.measure("norm").items()} == {
        "target tokens 0.norm": 0.0,
        "target tokens 1-9.norm": 0.0,
    }
