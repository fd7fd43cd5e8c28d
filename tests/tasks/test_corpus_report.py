"""The report on a prepared corpus."""

from __future__ import annotations

import json

import pytest

from zoo.tasks import Pair, PreparedCorpus
from zoo.tasks.corpus_report import corpus_report


class Corpus(PreparedCorpus):
    """Pairs in memory."""

    name, revision, languages, licence = "small", "sha256:0", ("zh", "en"), "MIT"

    def __init__(self, **splits):
        self._splits = {"train": [], "dev": [], "test": [], **splits}
        self.facts = {"dropped": {"duplicates": 3}, "packages": {"some": "1"}}

    def pairs(self, split):
        return self._splits[split]


def pair(zh, en, **more):
    return Pair({"zh": zh, "en": en}, **more)


SMALL = Corpus(
    train=[
        pair("打开文件", "Open the file now", document="a", domain="menu"),
        pair("关闭", "Close", document="a", domain="menu", licence="GPL-2+"),
        pair("第3页", "page 3", document="b", domain="page"),
    ],
    dev=[pair("共4页", "of 5 pages in all", document="c", domain="page")],
    test=[pair("是", "Yes")],
)


@pytest.fixture(scope="module")
def report():
    return corpus_report(SMALL)


def test_sizes_are_counted_by_split_domain_and_licence(report):
    assert report["pairs"] == {"train": 3, "dev": 1, "test": 1}
    assert report["long_pairs"] == {"train": 1, "dev": 1, "test": 0}
    assert report["documents"] == {"train": 2, "dev": 1, "test": 0}
    assert report["domains"] == {
        "menu": {"train": 2, "dev": 0, "test": 0},
        "page": {"train": 1, "dev": 1, "test": 0},
        "-": {"train": 0, "dev": 0, "test": 1},
    }
    assert list(report["domains"]) == ["menu", "page", "-"]
    assert report["licences"] == {"MIT": {"train": 2, "dev": 1, "test": 1}, "GPL-2+": {"train": 1, "dev": 0, "test": 0}}


def test_lengths_are_quartiles_of_characters_and_of_words_where_words_are_set_apart(report):
    assert report["lengths"]["zh"]["train"]["characters"] == {
        "lower_quartile": 2.5,
        "median": 3,
        "upper_quartile": 3.5,
        "maximum": 4,
    }
    assert report["lengths"]["zh"]["train"]["words"] is None
    assert report["lengths"]["en"]["train"]["words"]["maximum"] == 4


def test_an_empty_split_has_no_lengths():
    assert corpus_report(Corpus(train=SMALL.pairs("train")))["lengths"]["en"]["dev"] == {
        "characters": None,
        "words": None,
    }


def test_numbers_are_compared_where_both_sides_have_them(report):
    assert report["alignment"]["numbers"] == {"pairs": 2, "share": 0.5}


def test_what_was_dropped_is_told(report):
    assert report["dropped"] == {"duplicates": 3}


def test_a_small_corpus_has_all_its_pairs_as_samples_in_order(report):
    assert [sample["texts"]["en"] for sample in report["samples"]] == [
        "Open the file now",
        "Close",
        "page 3",
        "of 5 pages in all",
        "Yes",
    ]
    assert [sample["split"] for sample in report["samples"]] == ["train", "train", "train", "dev", "test"]


def test_samples_are_spread_evenly():
    corpus = Corpus(train=[pair(f"句{place}", f"text {place}") for place in range(90)], test=SMALL.pairs("train") * 4)
    found = corpus_report(corpus, samples=3)["samples"]
    # The midst of each third of 102 pairs.
    assert [sample["texts"]["en"] for sample in found] == ["text 17", "text 51", "text 85"]
    assert corpus_report(corpus, samples=0)["samples"] == []


def test_languages_without_english_have_no_long_pairs():
    class Other(Corpus):
        languages = ("qaa", "qab")

    texts = Pair({"qaa": "a b c d e", "qab": "f g h i j"})
    report = corpus_report(Other(train=[texts], dev=[texts], test=[texts]))
    assert report["long_pairs"] is None
    assert report["alignment"]["languages"] == ["qaa", "qab"]


def test_too_few_pairs_for_a_model_say_so(report):
    pytest.importorskip("nltk")
    assert report["alignment"]["ibm1"] == {"missing": "too few pairs of some length"}


def test_without_nltk_the_rest_is_given_and_how_to_install_it(monkeypatch):
    monkeypatch.setattr("zoo.tasks.alignment.available", lambda: False)
    report = corpus_report(SMALL)
    assert report["alignment"]["ibm1"] == {"missing": "needs nltk: pip install 'zoo-registry[report]'"}
    assert report["alignment"]["numbers"]["pairs"] == 2


def test_the_order_of_pairs_within_a_split_does_not_change_the_estimate():
    pytest.importorskip("nltk")
    pairs = [
        pair("".join(chr(0x4E00 + place * step % 50) for step in (1, 3, 7, 9)), f"a{place} b{place} c{place} d{place}")
        for place in range(60)
    ]
    one, other = (
        corpus_report(Corpus(train=order, dev=[pairs[0]], test=[pairs[1]]))["alignment"]["ibm1"]
        for order in (pairs, pairs[::-1])
    )
    assert one["scored"] == 31
    assert one == other


def test_a_report_is_json(report):
    assert json.loads(json.dumps(report, allow_nan=False))["name"] == "small"
