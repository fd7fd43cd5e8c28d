"""The reversal corpus: reversed, distinct, the same bytes everywhere."""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from zoo_tasks_text.corpora.options import ReversalOptions
from zoo_tasks_text.corpora.prepared import encode_pairs
from zoo_tasks_text.corpora.reversal import SOURCE, SYMBOLS, TARGET, Reversal, reversed_sequences

from zoo.errors import InputError
from zoo.tasks import DataHome
from zoo.tasks.contracts import SPLITS

SMALL = {"pairs": 400, "dev_pairs": 30, "test_pairs": 50}


@given(st.integers(0, 2**32 - 1), st.integers(2, 70), st.integers(1, 6), st.integers(0, 8))
@settings(max_examples=25, deadline=None)
def test_targets_are_reversed_and_no_sequence_comes_twice_in_either_direction(seed, symbols, low, more):
    options = ReversalOptions(
        pairs=10, dev_pairs=3, test_pairs=3, seed=seed, symbols=symbols, min_length=low + 4, max_length=low + 4 + more
    )
    pairs = [pair for split in SPLITS for pair in reversed_sequences(options)[split]]
    assert len(pairs) == 16
    texts: set[str] = set()
    for pair in pairs:
        words = pair.texts[SOURCE].split()
        assert words[::-1] == pair.texts[TARGET].split()
        assert low + 4 <= len(words) <= low + 4 + more
        assert set(words) <= set(SYMBOLS[:symbols])
        assert texts.isdisjoint(pair.texts.values())
        texts.update(pair.texts.values())


def test_words_are_drawn_alike_wherever_they_stand():
    pairs = reversed_sequences(ReversalOptions(pairs=20_000, symbols=8))["train"]
    for place in (0, -1):
        found = Counter(pair.texts[SOURCE].split()[place] for pair in pairs)
        # Five standard deviations of a count of 20,000 draws with chance 1/8.
        assert all(abs(count - 2500) < 5 * (20_000 * 1 / 8 * 7 / 8) ** 0.5 for count in found.values())
        assert len(found) == 8


def test_the_same_seed_gives_the_same_bytes_on_every_platform():
    pairs = reversed_sequences(ReversalOptions(**SMALL))
    digest = hashlib.sha256(b"".join(encode_pairs(pairs[split]) for split in SPLITS)).hexdigest()
    assert digest == "0a715e13af5303ea13a5ab8d42f204321323b99655c5a6765adcc00e8b3a619d"
    assert pairs != reversed_sequences(ReversalOptions(**SMALL, seed=2))


def test_prepared_it_is_found_again(tmp_path):
    corpus, home = Reversal(ReversalOptions(**SMALL)), DataHome(tmp_path)
    assert corpus.find(home) is None
    prepared = corpus.prepare(home)
    assert corpus.find(home).revision == prepared.revision
    assert [len(prepared.pairs(split)) for split in SPLITS] == [400, 30, 50]


def test_more_than_there_are_is_one_clear_line():
    with pytest.raises(InputError, match=r"10020 sequences are asked for, but 2 symbols .* raise symbols"):
        reversed_sequences(
            ReversalOptions(pairs=10_000, dev_pairs=10, test_pairs=10, symbols=2, min_length=1, max_length=5)
        )
    with pytest.raises(ValidationError, match="min_length 9 is above max_length 5"):
        ReversalOptions(min_length=9, max_length=5)
