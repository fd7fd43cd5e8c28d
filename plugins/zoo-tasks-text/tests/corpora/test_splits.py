"""Splits that share nothing."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zoo_tasks_text.corpora.splits import by_document, comparison_key, deduplicated, separated, split_of

from zoo.tasks import Pair

# Few words, so that the same side turns up in several splits.
sides = st.lists(st.sampled_from(["a", "B", "b", "ｂ", "12", "7", "é"]), min_size=1, max_size=3).map(" ".join)
pairs = st.builds(
    lambda first, second, document: Pair({"x": first, "y": second}, document),
    sides,
    sides,
    st.one_of(st.none(), st.sampled_from([f"d{number}" for number in range(8)])),
)


@given(st.lists(pairs, max_size=60))
def test_no_side_of_one_split_stands_in_another(drawn):
    parts = by_document(drawn, dev=0.3, test=0.3)
    result = separated(parts["train"], parts["dev"], parts["test"]).splits
    for language in ("x", "y"):
        # Compared here without the code under test: NFKC, case, white space.
        keys = {
            split: {"".join(unicodedata.normalize("NFKC", pair.texts[language]).casefold().split()) for pair in found}
            for split, found in result.items()
        }
        assert not keys["train"] & keys["dev"]
        assert not keys["train"] & keys["test"]
        assert not keys["dev"] & keys["test"]


@given(st.lists(pairs, max_size=60))
def test_every_pair_is_kept_or_counted_as_dropped(drawn):
    parts = by_document(drawn, dev=0.3, test=0.3)
    result = separated(parts["train"], parts["dev"], parts["test"])
    assert sum(map(len, result.splits.values())) + sum(result.dropped.values()) == len(drawn)


@given(st.lists(pairs, max_size=60))
def test_a_document_stays_in_one_split(drawn):
    parts = by_document(drawn, dev=0.3, test=0.3)
    owners: dict[str, set[str]] = {}
    for split, found in parts.items():
        for pair in found:
            if pair.document:
                owners.setdefault(pair.document, set()).add(split)
    assert all(len(splits) == 1 for splits in owners.values())


def test_shares_are_as_asked_for():
    names = [f"page-{number}" for number in range(20_000)]
    counts = dict.fromkeys(("train", "dev", "test"), 0)
    for name in names:
        counts[split_of(name, dev=0.1, test=0.2)] += 1
    # Five standard deviations of a binomial of 20,000 draws.
    assert abs(counts["dev"] - 2000) < 5 * (20_000 * 0.1 * 0.9) ** 0.5
    assert abs(counts["test"] - 4000) < 5 * (20_000 * 0.2 * 0.8) ** 0.5


def test_a_document_keeps_its_split_when_others_come_and_go():
    before = by_document([Pair({"x": str(n)}, f"d{n}") for n in range(100)], dev=0.2, test=0.2)
    after = by_document([Pair({"x": str(n)}, f"d{n}") for n in range(50, 300)], dev=0.2, test=0.2)
    for split, found in before.items():
        kept = {pair.document for pair in found} & {f"d{n}" for n in range(50, 100)}
        assert kept <= {pair.document for pair in after[split]}


def test_pairs_that_differ_in_numbers_only_are_one():
    found = deduplicated(
        [
            Pair({"en": "Page 3 of 10", "zh": "第 3 页，共 10 页"}),
            Pair({"en": "page 12 of 7", "zh": "第12页，共7页"}),
            Pair({"en": "Page three", "zh": "第三页"}),
        ]
    )
    assert [pair.texts["en"] for pair in found] == ["Page 3 of 10", "Page three"]


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("%s opens.", "%2$d opens.", True),
        ("$unit.name| has left", "$nick.name| has left", True),
        ("$name has left", "$name has joined", False),
        ("$name离开了游戏", "$name加入了游戏", False),
        ("{0} and <npcname>", "{1} and <name_g>", True),
        ("<npcname> falls", "<npcname> rises", False),
        ("%s在下雨", "%s在下雪", False),
    ],
)
def test_placeholders_are_compared_as_one_and_the_words_around_them_as_they_are(first, second, same):
    assert (comparison_key(first) == comparison_key(second)) == same


@pytest.mark.parametrize("text", ["%" + "0" * 100_000 + "!", "%0" * 50_000, "%1.0" + "0" * 100_000, "<a" * 50_000])
def test_comparing_takes_time_in_proportion_to_the_length(text):
    begun = time.process_time()
    comparison_key(text)
    assert time.process_time() - begun < 1.0  # tens of milliseconds; quadratic: a minute


def test_full_width_and_half_width_are_compared_as_one():
    assert comparison_key("Ａ１ ．") == comparison_key("a2.")
