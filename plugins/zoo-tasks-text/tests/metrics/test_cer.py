"""Character error rate against jiwer and by hand."""

from __future__ import annotations

import jiwer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zoo_tasks_text.metrics.cer import Cer
from zoo_tasks_text.metrics.options import CerOptions


def cer(outputs, references, **options):
    return Cer(CerOptions(**options)).score(outputs, references, references)


texts = st.text("ab c文é", min_size=0, max_size=30)
kept = texts.map(str.strip).filter(bool)


@settings(deadline=None)
@given(pairs=st.lists(st.tuples(kept, texts.map(str.strip)), min_size=1, max_size=6))
def test_the_corpus_value_is_jiwers(pairs):
    references, outputs = [list(side) for side in zip(*pairs, strict=True)]
    expected = jiwer.cer(references, outputs)
    assert cer(outputs, references, space="keep", normalization="none").value == pytest.approx(expected, abs=1e-12)


@settings(deadline=None)
@given(pairs=st.lists(st.tuples(kept, texts.map(str.strip)), min_size=1, max_size=6))
def test_segments_are_jiwers_one_by_one(pairs):
    metric = Cer(CerOptions(space="keep", normalization="none"))
    references, outputs = [list(side) for side in zip(*pairs, strict=True)]
    segments = metric.segments(metric.items(outputs, references, references))
    assert segments.tolist() == pytest.approx([jiwer.cer(r, o) for r, o in zip(references, outputs, strict=True)])


def test_a_long_reference_weighs_more_than_a_short_one():
    # 1 edit in 2 characters, 0 in 8: 1 / 10, where the mean of the two rates would be 1 / 4.
    assert cer(["ax", "abcdefgh"], ["ab", "abcdefgh"]).value == pytest.approx(0.1)


def test_it_may_be_above_one():
    assert cer(["abcdef"], ["x"]).value == 6.0


@pytest.mark.parametrize(
    ("output", "reference", "options", "expected"),
    [
        ("e\u0301", "\u00e9", {"normalization": "none"}, 2.0),
        ("e\u0301", "\u00e9", {}, 0.0),
        ("Ａ１", "A1", {}, 1.0),
        ("Ａ１", "A1", {"normalization": "nfkc"}, 0.0),
        (" a  b\n", "a b", {}, 0.0),
        (" a b", "a b", {"space": "keep"}, 1 / 3),
        ("文 件", "文件", {}, 0.5),
        ("文 件", "文件", {"space": "remove"}, 0.0),
        ("AB", "ab", {}, 1.0),
        ("AB", "ab", {"lowercase": True}, 0.0),
        ("", "", {}, 0.0),
        ("x", "", {}, 1.0),
    ],
)
def test_what_counts_as_a_difference_is_an_option(output, reference, options, expected):
    assert cer([output], [reference], **options).value == pytest.approx(expected)


def test_the_signature_tells_settings_apart():
    signatures = {
        cer(["a"], ["a"], **options).signature
        for options in ({}, {"normalization": "nfkc"}, {"space": "remove"}, {"lowercase": True}, {"seed": 1})
    }
    assert len(signatures) == 5
    assert all("version:" in signature and "rapidfuzz:" in signature for signature in signatures)
    score = cer(["a"], ["a"])
    assert (score.direction, score.unit) == ("lower", "fraction")
