"""Repetition and embedding norms."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from zoo_probes.repetition import repeated_share

from zoo.probes.contracts import ProbeResult
from zoo.testing.tiny_model import tiny_examples

Measure = Callable[..., ProbeResult]


def test_rep_n_counts_what_was_said_before() -> None:
    # "a b a b a": 5 words, 2 different; ab ba ab ba, 2 different; aba bab aba; abab baba.
    words = ["a", "b", "a", "b", "a"]
    assert [repeated_share([words], n) for n in (1, 2, 3, 4, 5)] == pytest.approx([3 / 5, 1 / 2, 1 / 3, 0, 0])
    assert repeated_share([words], 6) is None
    assert repeated_share([["x"] * 4], 4) == 0.0
    assert repeated_share([["x"] * 8], 4) == pytest.approx(4 / 5)
    # A mean over outputs, of those that have an n-gram.
    assert repeated_share([words, ["a", "b"], []], 2) == pytest.approx((1 / 2 + 0) / 2)


def test_repetition_reads_outputs_and_references(make_model: Any, measure: Measure) -> None:
    examples = tiny_examples(4)
    outputs = ["the cat " * 4, "dog", "", "a b c d e"]
    found = measure("repetition", make_model(), examples, outputs)
    assert found.scalars["rep_2"] == pytest.approx((5 / 7 + 0) / 2)
    expected = repeated_share([example.target.split() for example in examples], 1)
    assert found.scalars["reference_rep_1"] == pytest.approx(expected)
    assert found.series["by_length"].x == (1, 2, 3, 4)
    chinese = measure("repetition", make_model(), examples, ["好好好好"] * 4)
    assert chinese.scalars["rep_1"] == pytest.approx(3 / 4)
    # The tiny tokenizer knows no character of it: one unknown token.
    tokens = measure("repetition", make_model(), examples, ["好好好好"] * 4, unit="token", largest=1)
    assert tokens.scalars["rep_1"] == 0.0


def test_row_norms_are_those_of_the_matrices(make_model: Any, measure: Measure) -> None:
    tied, separate = make_model(), make_model(tie_embeddings="none")
    found = measure("embedding-norms", tied)
    norms = tied.lm_head.weight.detach().double().norm(dim=1)
    assert set(found.series["quantiles"].lines) == {"source"}
    assert found.scalars["source_mean"] == pytest.approx(float(norms.mean()))
    line = found.series["quantiles"].lines["source"]
    assert [line[0], line[3], line[-1]] == pytest.approx(
        [float(part) for part in (norms.min(), norms.quantile(0.5), norms.max())]
    )
    assert set(measure("embedding-norms", separate).series["quantiles"].lines) == {"source", "target", "output"}


def test_the_balance_of_positions_and_tokens(make_model: Any, measure: Measure) -> None:
    """Every sinusoidal vector has the norm sqrt(D / 2): a sine and a cosine of each angle."""
    model = make_model("sinusoidal")
    with torch.no_grad():
        weight = model.encoder.embed_tokens.weight
        weight.div_(weight.norm(dim=1, keepdim=True))
    found = measure("embedding-norms", model)
    # Rows of norm 1 times sqrt(D).
    assert found.scalars["source_position_balance"] == pytest.approx(math.sqrt(1 / 2), rel=1e-6)
    assert found.scalars["target_position_balance"] == pytest.approx(math.sqrt(1 / 2), rel=1e-6)
    unscaled = make_model("sinusoidal", scale_embeddings=False)
    with torch.no_grad():
        weight = unscaled.encoder.embed_tokens.weight
        weight.div_(weight.norm(dim=1, keepdim=True))
    balance = measure("embedding-norms", unscaled).scalars["source_position_balance"]
    assert balance == pytest.approx(math.sqrt(32 / 2), rel=1e-6)
    assert measure("embedding-norms", make_model("rotary")).scalars["source_position_balance"] == 0.0
