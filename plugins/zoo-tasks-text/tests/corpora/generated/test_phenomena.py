"""What the options of the generated pair promise, measured on what comes out."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict

import pytest
from pydantic import ValidationError
from scipy.stats import binomtest
from zoo_tasks_text.corpora.generated import SOURCE, TARGET, generate
from zoo_tasks_text.corpora.generated.documents import Language
from zoo_tasks_text.corpora.generated.grammar import turned
from zoo_tasks_text.corpora.generated.options import GeneratedOptions
from zoo_tasks_text.corpora.splits import comparison_key

from zoo.tasks.contracts import SPLITS


def options(**given) -> GeneratedOptions:
    return GeneratedOptions(**{"pairs": 400, "dev_pairs": 40, "test_pairs": 60, **given})


def everything(**given):
    return [pair for pairs in generate(options(**given)).values() for pair in pairs]


def checks(pairs, phenomenon):
    return [(pair, check) for pair in pairs for check in pair.checks.get(TARGET, ()) if check.phenomenon == phenomenon]


def plausible(count: int, trials: int, share: float) -> bool:
    return binomtest(count, trials, share).pvalue > 1e-4


# Order


def kendall(order: list[int]) -> int:
    return sum(a > b for a, b in itertools.combinations(order, 2))


@pytest.mark.parametrize("distance", [0.0, 0.1, 0.25, 0.5, 0.77, 1.0])
def test_a_turned_order_has_that_share_of_its_pairs_turned(distance):
    for size in range(1, 40):
        order = turned(size, distance)
        assert sorted(order) == list(range(size))
        assert abs(kendall(order) - distance * size * (size - 1) / 2) <= 0.5


def test_the_ends_of_the_scale_are_the_source_order_and_its_reverse():
    assert turned(6, 0.0) == [0, 1, 2, 3, 4, 5]
    assert turned(6, 1.0) == [5, 4, 3, 2, 1, 0]


@pytest.mark.parametrize("distance", [0.0, 0.4, 1.0])
def test_the_distance_measured_on_sentences_is_the_one_asked_for(distance):
    given = options(word_order=distance, morphology="none", min_clauses=3, max_clauses=3)
    words = Language(given).lexicon
    stems = {e.target: e.source for e in (*words.nouns, *words.verbs, *words.adjectives, *words.adverbs)} | {"ve": "e"}
    shares = []
    for pair in generate(given)["train"]:
        source, target = pair.texts[SOURCE].split(), [stems[word] for word in pair.texts[TARGET].split()]
        assert sorted(source) == sorted(target)
        if len(set(source)) == len(source) - 1:  # "e" alone stands there twice
            source[source.index("e")] = target[[i for i, w in enumerate(target) if w == "e"][distance == 1.0]] = "e1"
            order = [source.index(word) for word in target]
            shares.append(kendall(order) / (len(order) * (len(order) - 1) / 2))
    assert len(shares) > 100
    assert sum(shares) / len(shares) == pytest.approx(distance, abs=0.02)


# Frequencies


def test_words_follow_zipfs_law():
    given = options(pairs=4000, zipf=1.0, vocabulary=400, min_clauses=2)
    nouns = Language(given).lexicon.nouns
    counts = Counter(
        word.removesuffix("ni") for pair in generate(given)["train"] for word in pair.texts[SOURCE].split()
    )
    found = [counts[noun.source] for noun in nouns]
    total, harmonic = sum(found), sum(1 / rank for rank in range(1, len(nouns) + 1))
    for rank in (1, 2, 5, 20, 100):
        # Distinctness thins out the shortest sentences of frequent words, hence the 10 %.
        assert found[rank - 1] / total == pytest.approx(1 / rank / harmonic, rel=0.1 + 3 / found[rank - 1] ** 0.5)


def test_rare_words_are_those_of_few_training_sentences():
    given = options(pairs=600, vocabulary=1000, zipf=0.8, rare_words=3, morphology="none")
    splits, words = generate(given), Language(given).lexicon
    counts = Counter(word for pair in splits["train"] for word in pair.texts[SOURCE].split())
    stems = {e.source: e.target for e in (*words.nouns, *words.verbs, *words.adjectives, *words.adverbs)}
    assert len(checks(splits["test"], "rare-word")) > 20
    for pair in splits["test"]:
        expected = [stems[word] for word in pair.texts[SOURCE].split() if word != "e" and 1 <= counts[word] <= 3]
        assert [check.expected for _, check in checks([pair], "rare-word")] == expected
    assert not checks(splits["train"], "rare-word")


# Homographs

HOMOGRAPHS = {"homographs": 8, "homograph_distance": (2, 9), "max_clauses": 1, "pairs": 2000}


def test_the_cue_stands_as_far_before_its_homograph_as_the_check_says():
    words = Language(options(**HOMOGRAPHS)).lexicon
    cues, nouns = {*words.cues[0], *words.cues[1]}, {noun.source for noun in words.homographs}
    found = checks(everything(**HOMOGRAPHS), "homograph")
    for pair, check in found:
        source = [word.removesuffix("ni") for word in pair.texts[SOURCE].split()]
        (cue,) = [place for place, word in enumerate(source) if word in cues]
        (homograph,) = [place for place, word in enumerate(source) if word in nouns]
        assert homograph - cue - 1 == check.distance
    distances = Counter(check.distance for _, check in found)
    assert set(distances) == set(range(2, 10))
    assert all(plausible(count, len(found), 1 / 8) for count in distances.values())
    assert plausible(len(found), 2100, 0.5)


def test_both_readings_are_equally_likely_and_nothing_but_the_cue_tells_them():
    given = options(**HOMOGRAPHS)
    words = Language(given).lexicon
    second = {noun.other for noun in words.homographs}
    seen: dict[str, list[bool]] = defaultdict(list)
    for pair, check in checks(generate(given)["train"], "homograph"):
        reading = any(check.expected.startswith(stem) for stem in second) and not any(
            check.expected.startswith(stem) and len(stem) > len(other)
            for stem in (noun.target for noun in words.homographs)
            for other in second
            if check.expected.startswith(other)
        )
        for word in set(pair.texts[SOURCE].split()):
            seen[word].append(reading)
    cues = {word: reading for reading in (0, 1) for word in words.cues[reading]}
    for word, readings in seen.items():
        if word in cues:
            assert set(readings) == {bool(cues[word])}
        elif len(readings) >= 30:
            assert plausible(sum(readings), len(readings), 0.5), word


def test_without_cues_the_pairs_are_the_same_but_for_them():
    words = Language(options(**HOMOGRAPHS)).lexicon
    cues = {*words.cues[0], *words.cues[1]}
    shown, absent = everything(**HOMOGRAPHS), everything(**HOMOGRAPHS, homograph_cue="absent")
    for one, other in zip(shown, absent, strict=True):
        assert [word for word in one.texts[SOURCE].split() if word not in cues] == other.texts[SOURCE].split()
        assert one.texts[TARGET] == other.texts[TARGET]
        assert one.contrasts == other.contrasts
    assert {check.distance for _, check in checks(absent, "homograph")} == {None}


# Names, registers, documents, noise


def test_names_of_dev_and_test_are_new():
    splits = generate(options(pairs=3000, test_pairs=500, entities=0.6))
    names = {
        split: {word for pair in splits[split] for word in pair.texts[SOURCE].split() if word[0].isupper()}
        for split in SPLITS
    }
    assert not names["test"] & names["train"]
    assert not names["dev"] & names["train"]
    assert not names["test"] & names["dev"]
    assert plausible(len(checks(splits["train"], "entity")), 3000, 0.6)


def test_a_document_has_one_domain_which_the_target_shows():
    pairs = everything(registers="domain", document_sentences=4, pairs=800)
    domains = defaultdict(set)
    for pair in pairs:
        domains[pair.document].add(pair.domain)
        assert {check.expected.endswith("mas") for _, check in checks([pair], "register")} == {
            pair.domain == "honorific"
        }
    assert {len(found) for found in domains.values()} == {1}
    assert plausible(sum(found == {"plain"} for found in domains.values()), len(domains), 0.5)


def test_documents_are_whole_runs_in_one_split_each():
    splits = generate(options(document_sentences=7, pronouns=0.5, terms=3))
    for split in SPLITS:
        places = [(pair.document, pair.order) for pair in splits[split]]
        assert len(splits[split]) == len(places) == len(set(places))
        assert [order for _, order in places] == [number % 7 for number in range(len(places))]
    documents = [{pair.document for pair in splits[split]} for split in SPLITS]
    assert not documents[0] & documents[1] | documents[0] & documents[2] | documents[1] & documents[2]


@pytest.mark.parametrize("reach", [(1, 1), (2, 2), (1, 3)])
def test_a_pronoun_takes_up_a_topic_as_many_sentences_back_as_asked_for(reach):
    pairs = everything(document_sentences=8, pronouns=0.9, context_distance=reach, pairs=1600)
    documents = defaultdict(list)
    for pair in pairs:
        documents[pair.document].append(pair.texts[SOURCE].split())
    distances = Counter()
    for pair, check in checks(pairs, "pronoun"):
        sources = documents[pair.document]
        back = next(k for k in range(1, pair.order + 1) if "wo" in sources[pair.order - k])
        distances[back] += 1
        topic = sources[pair.order - back]
        after = topic[topic.index("wo") :]
        noun = next(place for place, word in enumerate(after) if word.endswith("k"))
        between = sum(len(source) for source in sources[pair.order - back + 1 : pair.order])
        assert check.distance == len(after) - noun - 1 + between + sources[pair.order].index("wa")
    assert set(distances) == set(range(reach[0], reach[1] + 1))


def test_a_pronoun_alone_has_chance_level():
    found = checks(everything(document_sentences=4, pronouns=1.0, pairs=2000, vocabulary=400), "pronoun")
    forms = Counter(check.expected for _, check in found)
    assert set(forms) == {"em", "om"}
    assert 0.35 < forms["em"] / len(found) < 0.65  # genders are drawn once for each of 200 nouns


def test_a_term_keeps_its_translation_through_a_document():
    pairs = everything(document_sentences=6, terms=3, morphology="none", pairs=1200)
    used, choices = defaultdict(set), defaultdict(set)
    for pair, check in checks(pairs, "term"):
        used[pair.document].add(check.expected)
        choices[frozenset((check.expected, *check.wrong))].add(check.expected)
        assert pair.order > 0
    assert {len(found) for found in used.values()} == {1}
    assert [len(found) for found in choices.values()] == [2, 2, 2]


def test_noise_hands_training_targets_round_and_leaves_all_else_as_it_was():
    clean, noisy = generate(options(homographs=4)), generate(options(homographs=4, noise=0.3))
    changed = [
        (one, other)
        for one, other in zip(clean["train"], noisy["train"], strict=True)
        if one.texts[TARGET] != other.texts[TARGET]
    ]
    assert len(changed) == 120
    assert sorted(one.texts[TARGET] for one, _ in changed) == sorted(other.texts[TARGET] for _, other in changed)
    assert all(one.texts[SOURCE] == other.texts[SOURCE] and not other.checks for one, other in changed)
    assert list(clean["test"]) == list(noisy["test"])


@pytest.mark.parametrize("given", [{}, {"document_sentences": 5, "pronouns": 0.8, "terms": 2, "homographs": 3}])
def test_no_side_of_one_split_stands_in_another(given):
    splits = generate(options(pairs=3000, test_pairs=500, vocabulary=60, **given))
    sides = [
        {(language, comparison_key(text)) for pair in splits[split] for language, text in pair.texts.items()}
        for split in SPLITS
    ]
    assert not sides[0] & sides[1] | sides[0] & sides[2] | sides[1] & sides[2]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"min_clauses": 3, "max_clauses": 2}, "min_clauses 3 is above max_clauses 2"),
        ({"homograph_distance": (5, 4)}, "homograph_distance begins at 5, above its end 4"),
        ({"pronouns": 0.5}, "set document_sentences above 1"),
        ({"terms": 2}, "set document_sentences above 1"),
        ({"document_sentences": 3, "pronouns": 0.5, "context_distance": (1, 3)}, "reaches back 2 at most"),
        ({"homograph_cue": "absent"}, "needs homographs"),
        ({"word_order": 1.5}, "expected sov or a number from 0 to 1"),
        ({"word_order": "svo"}, "expected sov or a number from 0 to 1"),
    ],
)
def test_options_that_contradict_each_other_are_refused(given, message):
    with pytest.raises(ValidationError, match=message):
        options(**given)
