"""What the contracts of corpora and tasks give for nothing."""

from __future__ import annotations

from typing import ClassVar

from zoo.spec.options import NoOptions
from zoo.tasks import Corpus, DataHome, Example, Pair, PreparedCorpus, PreparedTask


class TwoPairs(PreparedCorpus):
    """A corpus of two pairs in memory."""

    name, revision, languages, licence = "two", "sha256:" + "0" * 64, ("a", "b"), "CC0-1.0"
    facts: ClassVar = {}

    def pairs(self, split):
        return [Pair({"a": f"{split} 1", "b": "x"}), Pair({"a": f"{split} 2", "b": "y"})]


class Counting(Corpus):
    """Counts how often it is prepared."""

    prepared = 0

    def prepare(self, home, progress=None):
        self.prepared += 1
        return TwoPairs()


class TwoExamples(PreparedTask):
    """A task over `TwoPairs`."""

    revision = "sha256:" + "1" * 64
    facts: ClassVar = {}

    def examples(self, split):
        return [Example(str(i), pair.texts["a"], pair.texts["b"]) for i, pair in enumerate(TwoPairs().pairs(split))]


def test_a_corpus_without_a_changing_source_prepares_when_it_is_refreshed(tmp_path):
    corpus = Counting(NoOptions())
    assert corpus.refresh(DataHome(tmp_path)).name == "two"
    assert corpus.prepared == 1


def test_a_corpus_that_keeps_nothing_finds_nothing(tmp_path):
    corpus = Counting(NoOptions())
    assert corpus.find(DataHome(tmp_path)) is None
    assert corpus.prepared == 0


def test_tokenizers_see_both_sides_of_the_training_split_only():
    assert list(TwoExamples().tokenizer_texts()) == ["train 1", "x", "train 2", "y"]
