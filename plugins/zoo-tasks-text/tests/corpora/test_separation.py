"""Separation by digests is separation of lists, and leaves documents as they are."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zoo_tasks_text.corpora.separation import Separation, separate
from zoo_tasks_text.corpora.splits import by_document, comparison_key, separated

from zoo.errors import InputError
from zoo.tasks import Pair
from zoo.tasks.contracts import SPLITS

# Few words, so that the same side turns up in several splits.
sides = st.lists(st.sampled_from(["a", "B", "b", "ｂ", "12", "7", "é"]), min_size=1, max_size=3).map(" ".join)


def lists_of_pairs(prefix: str):
    """Lists whose documents, where pairs have one, no list of another prefix shares; orders are places in the list."""
    documents = st.none() | st.sampled_from([f"{prefix}{number}" for number in range(8)])
    return st.lists(st.tuples(sides, sides, documents), max_size=50).map(
        lambda rows: [Pair({"x": a, "y": b}, document, order) for order, (a, b, document) in enumerate(rows)]
    )


def separation(whole=frozenset(), share=0.3, repeating=frozenset(), **given) -> Separation:
    sources = {split: lambda pairs=pairs: iter(pairs) for split, pairs in given.items() if pairs is not None}
    return separate(sources, ("x", "y"), dev=share, test=share, salt="s", whole=whole, repeating=repeating)


def streamed(result: Separation) -> dict[str, list[Pair]]:
    splits: dict[str, list[Pair]] = {split: [] for split in SPLITS}
    for split, pair in result.stream():
        splits[split].append(pair)
    return splits


def dealt(train, dev, test) -> dict[str, list[Pair]]:
    """The splits before anything is left out."""
    splits = by_document(train, dev=0.3 if dev is None else 0, test=0.3 if test is None else 0, salt="s")
    return {**splits, **({} if dev is None else {"dev": dev}), **({} if test is None else {"test": test})}


@given(lists_of_pairs("a"), st.none() | lists_of_pairs("b"), st.none() | lists_of_pairs("c"))
def test_of_single_sentences_it_equals_separation_of_lists(train, dev, test):
    train, dev, test = (
        None if pairs is None else [replace(pair, document=None) for pair in pairs] for pairs in (train, dev, test)
    )
    expected = separated(**dealt(train, dev, test))
    found = separation(train=train, dev=dev, test=test)
    assert streamed(found) == expected.splits
    assert found.sizes == {split: len(pairs) for split, pairs in expected.splits.items()}
    assert found.dropped == {**expected.dropped, "pairs of documents in dev or test": 0}


def sides_of(pair: Pair) -> set[tuple[str, str]]:
    return {(language, comparison_key(text)) for language, text in pair.texts.items()}


@given(lists_of_pairs("a"), st.none() | lists_of_pairs("b"), st.none() | lists_of_pairs("c"))
def test_documents_keep_what_they_repeat_unless_they_are_copies(train, dev, test):
    splits, taken, expected = dealt(train, dev, test), set(), {}
    for split in ("test", "dev", "train"):
        pairs = splits[split]
        keys = [frozenset(sides_of(pair)) for pair in pairs]
        new = [key not in keys[:place] for place, key in enumerate(keys)]
        originals = {pair.document for pair, first in zip(pairs, new, strict=True) if first} - {None}
        expected[split] = [
            pair
            for pair, first in zip(pairs, new, strict=True)
            if (first or pair.document in originals) and not sides_of(pair) & taken
        ]
        taken = taken.union(*map(sides_of, expected[split]))
    assert streamed(separation(train=train, dev=dev, test=test)) == expected


def test_a_repeating_split_keeps_its_duplicates_and_gives_way_to_a_whole_one():
    dev = [Pair({"x": word, "y": word}, order=order) for order, word in enumerate(["a", "b", "b"])]
    found = separation(frozenset({"test"}), repeating=frozenset({"dev"}), train=dev, dev=dev, test=dev[:1])
    assert streamed(found) == {"train": [], "dev": dev[1:], "test": dev[:1]}
    assert found.dropped == {
        "duplicates": 1,
        "train pairs seen in dev or test": 2,
        "dev pairs seen in test": 1,
        "pairs of documents in dev or test": 0,
    }


@given(lists_of_pairs("a"), lists_of_pairs("a"), lists_of_pairs("a"))
def test_no_document_stands_in_two_splits_and_nothing_goes_uncounted(train, dev, test):
    found = separation(train=train, dev=dev, test=test)
    splits = streamed(found)
    owners: dict[str, set[str]] = {}
    for split, pairs in splits.items():
        for pair in pairs:
            if pair.document:
                owners.setdefault(pair.document, set()).add(split)
    assert all(len(found) == 1 for found in owners.values())
    kept = sum(map(len, splits.values()))
    assert kept + sum(found.dropped.values()) == len(train) + len(dev) + len(test)


def test_a_whole_split_keeps_its_duplicates_and_the_others_give_way():
    same = [Pair({"x": "a", "y": "b"}, order=order) for order in range(2)]
    other = Pair({"x": "c", "y": "d"})
    found = separation(frozenset({"test"}), train=[same[0], other], dev=[same[1]], test=same)
    assert streamed(found) == {"train": [other], "dev": [], "test": same}
    assert found.dropped["duplicates"] == 0


def test_the_same_order_twice_in_a_document_is_named():
    found = separation(
        train=[Pair({"x": "a", "y": "a"}, "d", 3), Pair({"x": "b", "y": "b"}, "d", 3)],
        dev=[Pair({"x": "c", "y": "c"}, "e", 3)],
        test=[Pair({"x": "d", "y": "d"})],
    )
    with pytest.raises(InputError, match="pair 2 of the train data is not the first with document 'd' and order 3"):
        list(found.stream())


@pytest.mark.parametrize("later", [1, 3])
def test_data_that_changes_between_the_walks_is_an_error(later):
    pairs = [Pair({"x": word, "y": word}) for word in ("one", "two", "three")]
    walks = iter([pairs[:2], pairs[:later]])
    sources = {"train": lambda: iter(next(walks)), "dev": lambda: iter([]), "test": lambda: iter([])}
    found = separate(sources, ("x", "y"), dev=0.1, test=0.1, salt="")
    with pytest.raises(InputError, match="changed while it was read"):
        list(found.stream())
