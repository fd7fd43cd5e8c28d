"""The generated corpus: sizes, distinctness, the same bytes everywhere."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import tracemalloc
from array import array
from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from zoo_tasks_text.corpora.generated import SOURCE, TARGET, GeneratedCorpus, generate
from zoo_tasks_text.corpora.generated.draws import Draws, Ranks, weights
from zoo_tasks_text.corpora.generated.numbers import NumberSet
from zoo_tasks_text.corpora.generated.options import GeneratedOptions
from zoo_tasks_text.corpora.prepared import encode_pairs

from zoo.errors import InputError
from zoo.tasks import DataHome
from zoo.tasks.contracts import SPLITS

SMALL = GeneratedOptions(pairs=300, dev_pairs=20, test_pairs=20)
ALL = {
    "homographs": 4,
    "entities": 0.3,
    "registers": "domain",
    "document_sentences": 3,
    "pronouns": 0.5,
    "terms": 2,
    "zipf": 0.9,
    "noise": 0.1,
    "morphology": "agglutinative",
    "word_order": 0.3,
}


def test_sizes_are_as_asked_for_and_no_sentence_comes_twice():
    splits = generate(SMALL)
    assert [len(splits[split]) for split in SPLITS] == [300, 20, 20]
    for language in (SOURCE, TARGET):
        texts = [pair.texts[language] for split in SPLITS for pair in splits[split]]
        assert len(texts) == 340
        assert len(set(texts)) == len(texts)


def test_other_hash_seeds_give_the_same_bytes():
    program = (
        "import hashlib; from zoo_tasks_text.corpora.generated import generate; "
        "from zoo_tasks_text.corpora.options import GeneratedOptions; "
        "from zoo_tasks_text.corpora.prepared import encode_pairs; "
        f"s = generate(GeneratedOptions(pairs=200, dev_pairs=20, test_pairs=20, **{ALL})); "
        "print(hashlib.sha256(b''.join(encode_pairs(s[k]) for k in ('train', 'dev', 'test'))).hexdigest())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "77")
    }
    assert len(found) == 1


@pytest.mark.parametrize(
    ("options", "digest"),
    [
        ({}, "9363ad404928d79048e72f48cab1ee7a81c0459c19604bd5c4d3daf0afa7850b"),
        (ALL, "633832a4e7e484fc02f280beac7503d31c78ded526e3ad5afd9f0be51b0b1810"),
        ({"vocabulary": 24, "entities": 0.5}, "77d7eb91c0c2078def25f964b033157963ee39f0b1394c1e949d6dc04543bf12"),
    ],
)
def test_the_bytes_are_those_of_version_2(options, digest):
    """Raise VERSION where they change."""
    splits = generate(GeneratedOptions(pairs=1500, dev_pairs=20, test_pairs=20, **options))
    assert hashlib.sha256(b"".join(encode_pairs(splits[split]) for split in SPLITS)).hexdigest() == digest


@given(st.lists(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 9) | st.just(2**40), max_size=30), max_size=9))
def test_a_set_of_numbers_is_a_set(added):
    found, expected = NumberSet(), set()
    for numbers in added:
        assert found.isdisjoint(numbers) == expected.isdisjoint(numbers)
        found.update(numbers)
        expected.update(numbers)
        assert (len(found), set(found)) == (len(expected), expected)
        assert all(number in found for number in expected)
        assert (77 in found) == (77 in expected)


def test_a_set_of_numbers_takes_few_bytes_each():
    draw = random.Random(1)
    numbers = array("Q", (draw.getrandbits(64) for _ in range(90_000)))
    found = NumberSet()
    tracemalloc.start()
    found.update(numbers)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found) == len(set(found)) == 90_000
    assert kept <= 24 * 90_000 + 200_000
    assert peak <= 36 * 90_000 + 200_000  # both tables while it doubles


def test_a_corpus_may_have_a_thousand_million_pairs():
    assert GeneratedOptions(pairs=1_000_000_000).pairs == 10**9
    with pytest.raises(ValidationError):
        GeneratedOptions(pairs=1_000_000_001)


def test_draws_follow_the_documented_generator():
    # Matsumoto and Nishimura's generator seeded by array [1], as Python documents it: its first 53-bit doubles.
    draws = Draws(1)
    assert [draws.below(10**6) for _ in range(3)] == [134364, 847433, 763774]
    draws.restart(1)
    assert draws.below(10**6) == 134364


@pytest.mark.parametrize("exponent", [0.5, 1.0, 1.37])
def test_weights_are_powers_of_the_rank_in_whole_numbers(exponent):
    found = weights(50, exponent)
    with localcontext(prec=60):
        for rank, weight in enumerate(found, start=1):
            exact = 2**36 * (Decimal(rank) ** -Decimal(exponent))
            assert abs(weight - exact) <= 1
    assert found[0] == 2**36


def test_ranks_are_all_drawn_and_none_besides():
    for exponent in (0.0, 1.0):
        draws, ranks = Draws(2), Ranks(5, exponent)
        assert {ranks.draw(draws) for _ in range(500)} == {0, 1, 2, 3, 4}


def test_another_seed_gives_other_sentences():
    first = encode_pairs(generate(SMALL)["train"])
    assert first != encode_pairs(generate(SMALL.model_copy(update={"seed": 2}))["train"])


@pytest.mark.parametrize("options", [{}, ALL])
def test_any_pair_can_be_read_alone(options):
    pairs = generate(GeneratedOptions(pairs=50, dev_pairs=5, test_pairs=5, **options))["train"]
    walked = list(pairs)
    assert [pairs[index] for index in range(50)] == walked
    assert pairs[-1] == walked[-1]
    assert pairs[3:40:7] == walked[3:40:7]
    with pytest.raises(IndexError):
        pairs[50]


def test_reading_the_pairs_holds_none_of_them():
    pairs = generate(GeneratedOptions(pairs=1500, dev_pairs=5, test_pairs=5))["train"]
    for _ in pairs:
        break
    tracemalloc.start()
    text = sum(len(pair.texts[SOURCE]) for pair in pairs)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert text > 40_000
    assert peak < 30_000


def test_a_larger_corpus_has_the_same_dev_and_test():
    small, large = generate(SMALL), generate(SMALL.model_copy(update={"pairs": 900}))
    for split in ("dev", "test"):
        assert [pair.texts for pair in small[split]] == [pair.texts for pair in large[split]]


def test_a_language_too_small_for_the_request_is_refused_with_advice():
    with pytest.raises(InputError, match="raise vocabulary or max_clauses"):
        generate(GeneratedOptions(pairs=3_000, vocabulary=8, min_clauses=1, max_clauses=1))


def test_the_prepared_corpus_is_found_again(tmp_path):
    options = SMALL.model_copy(update={"homographs": 3})
    corpus = GeneratedCorpus(options)
    home = DataHome(tmp_path)
    assert corpus.find(home) is None
    prepared = corpus.prepare(home)
    found = corpus.find(home)
    assert found is not None
    assert found.revision == prepared.revision
    for split in SPLITS:
        assert list(found.pairs(split)) == list(generate(options)[split])
    assert found.facts["checks"]["test"]["homograph"] > 0
    assert GeneratedCorpus(options.model_copy(update={"seed": 2})).find(home) is None


def test_the_default_language_reorders_and_agrees():
    """A sentence by hand: adverb to the front, verb to the end, adjectives behind nouns, gender from the lexicon."""
    from zoo_tasks_text.corpora.generated.grammar import Clause, Phrase, Realisation, said
    from zoo_tasks_text.corpora.generated.lexicon import Entry

    man, dog = Entry("mak", "bal", 0), Entry("tuk", "don", 1)
    old, see, now = Entry("lix", "ven"), Entry("saf", "gal"), Entry("puy", "zel")
    clause = Clause(Phrase(man, True, old), see, Phrase(dog, False, old), now)
    assert " ".join(said([clause], "case").words) == "tep lix makni safsa ta lix tuk puy"
    expected = {
        "case": "zel balur vene donim veno galesh",
        "agglutinative": "zel baluras veneuras donim venoim galutoesh",
        "none": "zel bal ven don ven gal",
    }
    for morphology, target in expected.items():
        realisation, source = Realisation(morphology, "sov"), said([clause], morphology)
        forms = realisation.forms([clause], honorific=False)
        assert " ".join(forms[unit] for unit in realisation.order(source.units)) == target
