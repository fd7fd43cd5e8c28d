"""Mixed corpora: weights, tags, separation."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from pydantic import ValidationError
from zoo_tasks_text.corpora.generated.corpus import GeneratedCorpus
from zoo_tasks_text.corpora.generated.options import GeneratedOptions
from zoo_tasks_text.corpora.mix import MixCorpus
from zoo_tasks_text.corpora.options import MixOptions

from zoo.errors import InputError
from zoo.tasks import DataHome


def files(folder, name, rows, **more):
    """A parallel-files corpus of the given (split, document, number) rows."""
    given = {"use": "parallel-files", "name": name, "languages": ["zh", "en"], "licence": f"L-{name}", **more}
    for split in ("train", "dev", "test"):
        path = folder / f"{name}.{split}.jsonl"
        lines = [
            json.dumps({"zh": f"{word} 源", "en": f"{word} target", "document": document})
            for where, document, word in rows
            if where == split
        ]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        given[split] = str(path)
    return given


def word(number):
    """Words without digits: numbers alone make near-duplicates."""
    return "".join(chr(97 + int(digit)) for digit in f"{number:04d}")


@pytest.fixture
def parts(tmp_path):
    one = [("train", f"doc{word(n // 2)}", f"one{word(n)}") for n in range(200)]
    one += [("dev", "dev", "oned"), ("test", "test", "onet"), ("test", "test", "shared")]
    two = [("train", "t", f"two{word(n)}") for n in range(10)] + [("train", "t", "shared")]
    two += [("dev", "dev", "twod"), ("test", "test", "twot")]
    return files(tmp_path, "one", one), files(tmp_path, "two", two)


def mixed(tmp_path, *parts, **more):
    options = {"name": "mix", "languages": ["zh", "en"], "parts": list(parts), **more}
    return MixCorpus(MixOptions.model_validate(options)).prepare(DataHome(tmp_path / "home"))


def test_parts_stand_together_with_names_licences_and_tags(parts, tmp_path):
    corpus = mixed(tmp_path, {"corpus": parts[0], "tag": "first"}, {"corpus": parts[1]})
    assert (corpus.name, corpus.licence) == ("mix", "L-one and L-two")
    test = list(corpus.pairs("test"))
    assert [pair.document for pair in test] == ["one/test", "one/test", "two/test"]
    assert [pair.domain for pair in test] == ["first", "first", None]
    assert [pair.licence for pair in test] == ["L-one", "L-one", "L-two"]


def test_a_training_pair_that_stands_in_another_parts_test_is_dropped(parts, tmp_path):
    corpus = mixed(tmp_path, {"corpus": parts[0]}, {"corpus": parts[1]})
    trained = {pair.texts["en"] for pair in corpus.pairs("train")}
    assert "shared target" not in trained
    assert len(trained) == 210


def test_dev_and_test_stay_as_they_are_but_for_dev_sentences_in_another_parts_test(tmp_path):
    one = [("train", "a", "train"), ("dev", "d", "hm"), ("dev", "d", "well"), ("dev", "d", "hm"), ("dev", "d", "end")]
    one += [("test", "t", "yes"), ("test", "t", "no"), ("test", "t", "yes")]
    two = [("train", "a", "hm"), ("train", "a", "other"), ("train", "a", "yes"), ("dev", "d", "hm")]
    two += [("test", "t", "well"), ("test", "t", "yes")]
    corpus = mixed(tmp_path, {"corpus": files(tmp_path, "one", one)}, {"corpus": files(tmp_path, "two", two)})
    found = {
        split: [(pair.document, pair.order, pair.texts["en"].split()[0]) for pair in corpus.pairs(split)]
        for split in ("train", "dev", "test")
    }
    assert found == {
        "train": [("one/a", 0, "train"), ("two/a", 1, "other")],
        "dev": [("one/d", 0, "hm"), ("one/d", 2, "hm"), ("one/d", 3, "end"), ("two/d", 0, "hm")],
        "test": [
            ("one/t", 0, "yes"),
            ("one/t", 1, "no"),
            ("one/t", 2, "yes"),
            ("two/t", 0, "well"),
            ("two/t", 1, "yes"),
        ],
    }
    assert corpus.facts["dropped"]["dev pairs seen in test"] == 1


def test_the_pronouns_of_a_generated_part_stay_decidable(tmp_path):
    """Mixed with the text of another, its test documents and their checks are what they were."""
    language = {"use": "generated", "pairs": 30, "dev_pairs": 12, "test_pairs": 240, "document_sentences": 6}
    language |= {"pronouns": 1.0, "vocabulary": 20, "max_clauses": 1}
    own = {**files(tmp_path, "own", [(split, split, split) for split in ("train", "dev", "test")])}
    for split in ("train", "dev", "test"):
        path = tmp_path / f"own.{split}.jsonl"
        path.write_text(path.read_text().replace('"zh"', '"qaa"').replace('"en"', '"qab"'))
    own["languages"] = languages = ["qaa", "qab"]
    corpus = mixed(tmp_path, {"corpus": language}, {"corpus": own}, languages=languages)
    alone = GeneratedCorpus(
        GeneratedOptions.model_validate({name: value for name, value in language.items() if name != "use"})
    ).prepare(DataHome(tmp_path / "home"))
    for split in ("train", "dev", "test"):
        mixed_in = [pair for pair in corpus.pairs(split) if pair.document.startswith("generated/")]
        assert [(pair.texts, pair.order, pair.checks) for pair in mixed_in] == [
            (pair.texts, pair.order, pair.checks) for pair in alone.pairs(split)
        ]
    sources = [pair.texts["qaa"] for pair in alone.pairs("test")]
    assert len(set(sources)) < len(sources), "some sentence is repeated, so that the test can fail"


def test_a_weight_repeats_whole_documents_and_a_fraction_of_them(parts, tmp_path):
    corpus = mixed(tmp_path, {"corpus": parts[0], "weight": 2.5}, {"corpus": parts[1], "weight": 0})
    pairs = list(corpus.pairs("train"))
    assert not any(pair.document.startswith("two/") for pair in pairs)
    times = Counter(pair.texts["en"] for pair in pairs)
    assert set(times.values()) == {2, 3}
    thrice = sum(count == 3 for count in times.values())
    assert 60 <= thrice <= 140  # half of 100 documents of two pairs: binomial, 4 deviations
    sizes = Counter(pair.document for pair in pairs)
    assert set(sizes.values()) == {2}, "a repeated document is whole, and has a name of its own"


def test_a_smaller_weight_takes_some_documents_of_a_larger_one(parts, tmp_path):
    half = {pair.document for pair in mixed(tmp_path, {"corpus": parts[0], "weight": 0.5}).pairs("train")}
    most = {pair.document for pair in mixed(tmp_path, {"corpus": parts[0], "weight": 0.8}).pairs("train")}
    assert half < most


def test_the_same_parts_give_the_same_mix_and_other_weights_another(parts, tmp_path):
    first = mixed(tmp_path, {"corpus": parts[0]}, {"corpus": parts[1]})
    assert mixed(tmp_path, {"corpus": parts[0]}, {"corpus": parts[1]}).revision == first.revision
    assert mixed(tmp_path, {"corpus": parts[0], "weight": 2}, {"corpus": parts[1]}).revision != first.revision


def test_a_part_without_one_of_the_languages_is_refused(parts, tmp_path):
    with pytest.raises(InputError, match="part one has no 'ja'"):
        mixed(tmp_path, {"corpus": parts[0]}, languages=["ja", "en"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda parts: {"parts": []}, "at least 1"),
        (lambda parts: {"parts": [{"corpus": parts[0], "weight": 0}]}, "every part has weight 0"),
        (lambda parts: {"parts": [{"corpus": parts[0]}, {"corpus": parts[0]}]}, "stands in two parts"),
        (lambda parts: {"parts": [{"corpus": parts[0]}], "languages": ["en", "en"]}, "languages are both 'en'"),
    ],
)
def test_wrong_options_are_refused(parts, change, message):
    with pytest.raises(ValidationError, match=message):
        MixOptions.model_validate({"name": "mix", "languages": ["zh", "en"], **change(parts)})
