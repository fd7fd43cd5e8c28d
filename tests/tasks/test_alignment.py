"""How well the sides of pairs belong together."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest

from zoo.tasks import alignment
from zoo.tasks.alignment import Candidate, length_outliers, number_agreement, separation, units, wide


def test_units_are_wide_characters_and_the_beginnings_of_words():
    assert units("Documentation 保存ＰＤＦ") == ["docume", "保", "存", "pdf"]


@pytest.mark.parametrize(
    ("text", "expected"), [("保存 PDF", True), ("ファイル", True), ("Save 保", False), ("", False)]
)
def test_wide_text_is_told_by_most_of_its_units(text, expected):
    assert wide(text) is expected


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("page 3 of 10", "第３页，共１０页", True),
        ("3 and 3", "3", False),
        ("1,000 files", "1000 个文件", True),
        ("8,18 or 5", "5 或 8,18", True),
        ("room 007", "7 号房", True),
        ("three", "3", None),
        ("none", "无", None),
        ("9" * 5000, "9" * 5000, True),
    ],
)
def test_numbers_agree_as_multisets_where_both_sides_have_some(first, second, expected):
    assert number_agreement(first, second) is expected


def test_length_outliers_are_the_pairs_far_from_the_median_ratio():
    # Ratios 1/2 spread by up to 10%, and five that are 20 times off.
    second = [100] * 100
    first = [round(50 * (0.9 + 0.2 * place / 94)) for place in range(95)] + [1000] * 5
    found = length_outliers(first, second)
    assert found["share"] == pytest.approx(0.05)
    assert found["median_ratio"] == pytest.approx(0.5, rel=0.02)


def test_equal_ratios_are_no_outliers():
    assert length_outliers([2, 4, 6], [1, 2, 3]) == {"median_ratio": pytest.approx(2), "deviation": 0, "share": 0}


def test_the_deviation_estimates_that_of_a_normal_distribution():
    ratios = np.random.default_rng(1).normal(0, 0.1, 20_000)
    found = length_outliers([round(math.exp(ratio) * 1e6) for ratio in ratios], [10**6] * len(ratios))
    assert found["deviation"] == pytest.approx(0.1, rel=0.03)
    # 0.27% of a normal distribution lie beyond three standard deviations.
    assert found["share"] == pytest.approx(0.0027, abs=0.0015)


def corpus(size: int, corrupted: float, seed: int = 1) -> list[Candidate]:
    """Sentences of 4 to 9 words with Zipf's frequencies, and their words' translations in reverse order.

    The given share of them have exchanged their translations.
    """
    generator = np.random.default_rng(seed)
    frequency = 1 / np.arange(1, 201)
    frequency /= frequency.sum()
    sentences = [generator.choice(200, size=generator.integers(4, 10), p=frequency) for _ in range(size)]
    translated = [[chr(0x4E00 + word) for word in reversed(sentence)] for sentence in sentences]
    wrong = generator.choice(size, size=round(corrupted * size), replace=False)
    moved = [translated[place] for place in np.roll(wrong, 1)]
    for place, translation in zip(wrong, moved, strict=True):
        translated[place] = translation
    return [
        Candidate(" ".join(f"w{word}" for word in sentence), "".join(translation))
        for sentence, translation in zip(sentences, translated, strict=True)
    ]


def test_pairs_are_told_from_mismatched_ones():
    pytest.importorskip("nltk")
    found = separation(corpus(400, 0))
    assert found is not None
    assert (found.scored, found.trained) == (200, 200)
    assert found.auc > 0.97
    assert found.misaligned < 0.05


def test_sides_that_have_nothing_to_do_with_each_other_are_found_out():
    pytest.importorskip("nltk")
    found = separation(corpus(400, 1))
    assert found is not None
    assert found.auc == pytest.approx(0.5, abs=0.1)
    assert found.misaligned > 0.8


def test_the_same_candidates_give_the_same_estimate_and_the_worst_pair_comes_first():
    pytest.importorskip("nltk")
    candidates = corpus(400, 0)
    candidates[7] = Candidate(candidates[7].first, "".join(chr(0x4E00 + word) for word in (0, 1, 2, 3, 4, 5)))
    found = separation(candidates)
    assert found is not None
    assert found == separation(candidates)
    assert 7 in found.lowest


def test_too_few_pairs_give_no_estimate():
    pytest.importorskip("nltk")
    assert separation([]) is None
    assert separation(corpus(30, 0)) is None
    assert separation([Candidate("short", "短")] * 1000) is None


def test_without_nltk_it_is_not_available(monkeypatch):
    monkeypatch.setitem(sys.modules, "nltk", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert not alignment.available()


@pytest.mark.slow
@pytest.mark.once
@pytest.mark.parametrize("corrupted", [0.0, 0.1, 0.3])
def test_the_estimate_follows_the_share_that_is_misaligned(corrupted):
    pytest.importorskip("nltk")
    found = separation(corpus(4500, corrupted))
    assert found is not None
    # Sampling alone moves the estimate: by the draw of the scored pairs (0.012 at 30%), by which of them lie below the
    # median (2 * 0.0092) and by where the median lies (0.008), together 0.023. Three of these:
    assert found.misaligned == pytest.approx(corrupted, abs=0.07)
    # A misaligned pair scores above a mismatched one by chance.
    assert found.auc == pytest.approx(1 - corrupted / 2, abs=0.04)
