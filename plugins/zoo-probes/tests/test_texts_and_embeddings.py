"""Repetition and embedding norms."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from zoo_probes import repetition
from zoo_probes.repetition import broken_off, repeated_share

from zoo.measure.generation import Generated
from zoo.probes.contracts import ProbeResult
from zoo.tasks import Example
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


@pytest.mark.parametrize(
    ("source", "share", "kept"),
    [
        ("one two three four", 0.5, "one two"),  # 9 of 18 characters, which cut "three"
        ("one two three four", 0.4, "one two"),  # 7: a cut between words
        ("one two three four", 0.1, "o"),  # within the first word
        ("打开文件然后", 0.5, "打开文"),
    ],
)
def test_a_fragment_ends_with_a_whole_word_where_there_are_words(source: str, share: float, kept: str) -> None:
    assert broken_off(Example("1", source, "t"), share).source == kept
    tagged = broken_off(Example("1", f"<plain> {source}", "t", tag="<plain>"), share)
    assert tagged.source == f"<plain> {kept}"


def test_fragments_are_translated_beside_whole_sources(
    make_model: Any, measure: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def generate(model: Any, tokenizers: Any, sources: Sequence[str], decoding: Any, **options: Any) -> Generated:
        asked.extend(sources)
        return Generated(("x x x x", *["a b"] * (len(sources) - 1)), 0, 0, 0)

    monkeypatch.setattr(repetition, "generate_outputs", generate)
    examples = tiny_examples(4)
    spec = SimpleNamespace(decoding=SimpleNamespace(max_new_tokens=8))
    found = measure("repetition", make_model(), examples, ["a b c"] * 4, spec=spec, fragment=0.5)
    assert asked == [broken_off(example, 0.5).source for example in examples]
    assert found.scalars["fragment_rep_1"] == pytest.approx((3 / 4) / 4)
    assert found.scalars["rep_1"] == 0.0
    assert set(found.series["by_length"].lines) == {"outputs", "references", "outputs for fragments"}


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
