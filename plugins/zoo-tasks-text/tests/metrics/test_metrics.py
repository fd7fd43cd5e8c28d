"""Metrics against sacrebleu, direct resampling and published numbers."""

from __future__ import annotations

import importlib.util
import random

import numpy as np
import pytest
import sacrebleu
from zoo_tasks_text.metrics.bleu import Bleu, bleu_scores
from zoo_tasks_text.metrics.cer import Cer
from zoo_tasks_text.metrics.chrf import Chrf, chrf_scores
from zoo_tasks_text.metrics.corpus import segment_statistics
from zoo_tasks_text.metrics.exact_match import ExactMatch
from zoo_tasks_text.metrics.options import BleuOptions, CerOptions, ChrfOptions, ExactMatchOptions, TerOptions
from zoo_tasks_text.metrics.ter import Ter

from zoo.errors import ZooError
from zoo.statistics import percentile_interval

REFERENCES = [
    "The cat sat on the mat.",
    "Select the cells that you want to format.",
    "Opens a dialog.",
    "The result is 3.5, not 4.",
    "“Quoted” text — with dashes…",
    "a",
    "文件 打开 了。",
    "Press Ctrl+F7 to open the thesaurus again and again.",
]


def corrupted(seed: int) -> list[str]:
    """The references with words dropped, doubled and swapped; one output is empty."""
    draw = random.Random(seed)
    outputs = []
    for reference in REFERENCES:
        words = [word for word in reference.split() for _ in range(draw.choice([0, 1, 1, 1, 2]))]
        if draw.random() < 0.4:
            words.reverse()
        outputs.append(" ".join(words))
    outputs[draw.randrange(len(outputs))] = ""
    return outputs


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("tokenize", ["13a", "zh", "char", "none"])
def test_bleu_of_summed_statistics_is_sacrebleus(seed, tokenize):
    metric = sacrebleu.BLEU(tokenize=tokenize, force=True)
    outputs = corrupted(seed)
    sums = segment_statistics(metric, outputs, REFERENCES).sum(axis=0, keepdims=True)
    assert bleu_scores(sums)[0] == pytest.approx(metric.corpus_score(outputs, [REFERENCES]).score, abs=1e-9)


@pytest.mark.parametrize("outputs", [[""] * 8, ["zzz"] * 8, ["The"] * 8, ["The cat"] * 8, ["The cat sat"] * 8])
def test_bleu_of_hopeless_outputs_is_sacrebleus(outputs):
    metric = sacrebleu.BLEU(force=True)
    sums = segment_statistics(metric, outputs, REFERENCES).sum(axis=0, keepdims=True)
    assert bleu_scores(sums)[0] == pytest.approx(metric.corpus_score(outputs, [REFERENCES]).score, abs=1e-9)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(("word_order", "beta"), [(0, 2), (2, 2), (0, 1), (1, 3)])
def test_chrf_of_summed_statistics_is_sacrebleus(seed, word_order, beta):
    metric = sacrebleu.CHRF(word_order=word_order, beta=beta)
    outputs = corrupted(seed)
    sums = segment_statistics(metric, outputs, REFERENCES).sum(axis=0, keepdims=True)
    assert chrf_scores(sums, beta=beta)[0] == pytest.approx(metric.corpus_score(outputs, [REFERENCES]).score, abs=1e-9)


def test_the_interval_is_that_of_resampling_segments_one_by_one():
    metric = sacrebleu.BLEU(force=True)
    outputs = corrupted(3)
    statistics = segment_statistics(metric, outputs, REFERENCES)
    low, high = percentile_interval(
        len(outputs), lambda weights: bleu_scores(weights @ statistics), resamples=4000, seed=1
    )
    draw = random.Random(2)
    scores = []
    for _ in range(4000):
        rows = [draw.randrange(len(outputs)) for _ in outputs]
        scores.append(metric.corpus_score([outputs[row] for row in rows], [[REFERENCES[row] for row in rows]]).score)
    expected = np.quantile(scores, [0.025, 0.975])
    # Two independent sets of 4000 resamples: their percentiles differ by sampling noise only.
    width = expected[1] - expected[0]
    assert abs(low - expected[0]) < 0.06 * width
    assert abs(high - expected[1]) < 0.06 * width


def test_the_interval_does_not_depend_on_the_size_of_blocks(monkeypatch):
    statistics = segment_statistics(sacrebleu.BLEU(force=True), corrupted(3), REFERENCES)

    def interval():
        return percentile_interval(
            len(statistics), lambda weights: bleu_scores(weights @ statistics), resamples=500, seed=1
        )

    whole = interval()
    monkeypatch.setattr("zoo.statistics.bootstrap.BLOCK", 100)
    assert interval() == whole


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    "options",
    [{}, {"normalized": True, "asian": True}, {"punctuation": False}, {"case_sensitive": True}],
    ids=["default", "asian", "without punctuation", "case"],
)
def test_ter_of_summed_edits_is_sacrebleus(seed, options):
    metric = Ter(TerOptions(**options))
    theirs = sacrebleu.TER(
        normalized=options.get("normalized", False),
        asian_support=options.get("asian", False),
        no_punct=not options.get("punctuation", True),
        case_sensitive=options.get("case_sensitive", False),
    )
    outputs = corrupted(seed)
    score = metric.score(outputs, REFERENCES, REFERENCES)
    assert score.value == pytest.approx(theirs.corpus_score(outputs, [REFERENCES]).score, abs=1e-9)
    assert score.signature.startswith(str(theirs.get_signature()))
    singles = [
        theirs.sentence_score(output, [reference]).score for output, reference in zip(outputs, REFERENCES, strict=True)
    ]
    segments = metric.segments(metric.items(outputs, REFERENCES, REFERENCES))
    assert segments.tolist() == pytest.approx(singles, abs=1e-9)
    assert (score.direction, score.unit) == ("lower", "points")


@pytest.mark.parametrize("outputs", [["", ""], ["a b", ""], ["", "a"]])
def test_ter_against_empty_references_is_sacrebleus(outputs):
    expected = sacrebleu.TER().corpus_score(outputs, [["", ""]]).score
    assert Ter(TerOptions()).score(outputs, ["", ""], ["", ""]).value == expected


@pytest.mark.parametrize("seed", range(3))
def test_bleus_details_are_sacrebleus(seed):
    outputs = corrupted(seed)
    theirs = sacrebleu.BLEU(force=True).corpus_score(outputs, [REFERENCES])
    details = Bleu(BleuOptions()).score(outputs, REFERENCES, REFERENCES).details
    assert details["precisions"] == pytest.approx(theirs.precisions)
    assert details["brevity_penalty"] == pytest.approx(theirs.bp)
    assert (details["output_length"], details["reference_length"]) == (theirs.sys_len, theirs.ref_len)


def test_bleus_details_of_nothing_are_numbers():
    details = Bleu(BleuOptions()).score(["", ""], ["a b", "c"], ["", ""]).details
    assert details == {"precisions": [0.0] * 4, "brevity_penalty": 0.0, "output_length": 0, "reference_length": 3}


def test_scores_leave_global_random_state_alone():
    before = np.random.get_state()[1].tolist()
    Bleu(BleuOptions()).score(corrupted(1), REFERENCES, REFERENCES)
    Chrf(ChrfOptions()).score(corrupted(1), REFERENCES, REFERENCES)
    assert np.random.get_state()[1].tolist() == before


@pytest.mark.parametrize("metric", [Bleu(BleuOptions()), Chrf(ChrfOptions())])
def test_perfect_outputs_score_100_with_no_spread(metric):
    score = metric.score(REFERENCES, REFERENCES, REFERENCES)
    assert score.value == pytest.approx(100)
    assert score.interval == pytest.approx((100, 100))
    assert (score.direction, score.unit) == ("higher", "points")


def test_signatures_name_version_tokenizer_and_resampling():
    score = Bleu(BleuOptions(tokenize="zh", lowercase=True)).score(REFERENCES, REFERENCES, REFERENCES)
    parts = score.signature.split("|")
    assert {"tok:zh", "case:lc", f"version:{sacrebleu.__version__}", "bs:1000", "seed:12345"} <= set(parts)


@pytest.mark.skipif(importlib.util.find_spec("MeCab") is not None, reason="MeCab is installed")
def test_a_tokenizer_without_its_package_says_what_to_do(caplog):
    with pytest.raises(ZooError, match=r"pip install 'sacrebleu\[ja\]'.*tokenize: char"):
        Bleu(BleuOptions(tokenize="ja-mecab")).score(["a"], ["a"], ["a"])
    assert caplog.records == []


def test_exact_match_counts_equal_lines():
    outputs = ["a  b ", "c", "D", "x"]
    references = ["a b", "c", "d", "y"]
    assert ExactMatch(ExactMatchOptions()).score(outputs, references, references).value == 0.5
    assert ExactMatch(ExactMatchOptions(lowercase=True)).score(outputs, references, references).value == 0.75


@pytest.mark.parametrize(
    "metric",
    [
        Bleu(BleuOptions()),
        Chrf(ChrfOptions()),
        ExactMatch(ExactMatchOptions()),
        Ter(TerOptions()),
        Cer(CerOptions()),
    ],
)
@pytest.mark.parametrize(("outputs", "references"), [(["a"], ["a", "b"]), ([], [])])
def test_unequal_or_empty_lists_are_refused(metric, outputs, references):
    with pytest.raises(ValueError, match="expected equal numbers|nothing to score"):
        metric.score(outputs, references, references)
