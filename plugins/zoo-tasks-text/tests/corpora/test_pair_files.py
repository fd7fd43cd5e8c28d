"""Pairs as JSON lines on disk."""

from __future__ import annotations

import hashlib
import io
import pickle
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zoo_tasks_text.corpora import pair_files
from zoo_tasks_text.corpora.pair_files import PairWriter, StoredPairs, encode_pairs, read_content

from zoo.errors import ZooError
from zoo.tasks import Check, Pair

texts = st.text(st.characters(exclude_categories=["Cs"]))
checks = st.builds(Check, texts, texts, st.lists(texts).map(tuple), st.none() | st.integers(0, 99))
drawn_pairs = st.builds(
    Pair,
    st.fixed_dictionaries({"a": texts, "b": texts}),
    st.none() | texts,
    st.integers(0, 2**40),
    st.none() | texts,
    st.none() | texts,
    st.dictionaries(st.sampled_from("ab"), st.lists(checks, min_size=1).map(tuple)),
    st.dictionaries(st.sampled_from("ab"), st.lists(texts, min_size=1).map(tuple)),
)


def stored(path, pairs) -> StoredPairs:
    path.write_bytes(encode_pairs(pairs))
    return StoredPairs(path, read_content(path).offsets)


@pytest.fixture
def hundred(tmp_path, monkeypatch):
    """A hundred pairs of growing length, as a list and stored, read in blocks of few lines."""
    monkeypatch.setattr(pair_files, "_BLOCK", 300)
    pairs = [Pair({"en": "x" * number, "zh": "字\u2028" * number}, f"d{number // 7}", number) for number in range(100)]
    return pairs, stored(tmp_path / "a.jsonl", pairs)


@given(drawn=st.lists(drawn_pairs, max_size=20))
def test_what_is_written_is_read(tmp_path_factory, drawn):
    path = tmp_path_factory.mktemp("pairs") / "a.jsonl"
    with path.open("wb") as stream:
        writer = PairWriter(stream)
        for pair in drawn:
            writer.write(pair)
    content = read_content(path)
    assert content.digest == writer.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert content.lines == writer.count == len(drawn)
    assert content.size == path.stat().st_size
    found = StoredPairs(path, content.offsets)
    assert list(found) == drawn
    assert [found[index] for index in range(len(drawn))] == drawn


def test_half_a_character_cannot_be_written():
    with pytest.raises(UnicodeEncodeError):
        PairWriter(io.BytesIO()).write(Pair({"a": "\ud800"}))


@given(block=st.integers(1, 30), data=st.lists(st.binary(max_size=12), max_size=12))
def test_lines_are_found_whatever_the_block(tmp_path_factory, block, data):
    path = tmp_path_factory.mktemp("lines") / "a"
    path.write_bytes(b"\n".join(data))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pair_files, "_BLOCK", block)
        offsets = read_content(path).offsets
    content = path.read_bytes()
    lines = [content[start:end] for start, end in pairwise(offsets)]
    assert lines == io.BytesIO(content).readlines()


def test_a_last_line_without_line_feed_counts(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(encode_pairs([Pair({"a": "1"}), Pair({"a": "2"})])[:-1])
    assert [pair.texts["a"] for pair in StoredPairs(path, read_content(path).offsets)] == ["1", "2"]


@pytest.mark.parametrize(
    "where", [slice(None), slice(5), slice(90, 200), slice(-3, None), slice(10, 50, 7), slice(None, None, -1)]
)
def test_slices_are_those_of_a_list(hundred, where):
    pairs, found = hundred
    assert found[where] == pairs[where]
    assert pairs[where] == found[where]
    assert list(found[where]) == pairs[where]
    assert len(found[where]) == len(pairs[where])
    assert found[where][1:][::-1] == pairs[where][1:][::-1]


def test_items_are_those_of_a_list(hundred):
    pairs, found = hundred
    assert [found[index] for index in (0, 57, 99, -1, -100)] == [pairs[index] for index in (0, 57, 99, -1, -100)]
    for index in (100, -101):
        with pytest.raises(IndexError):
            found[index]
    assert pairs[3] in found
    assert found.index(pairs[42]) == 42
    assert list(reversed(found)) == pairs[::-1]


def test_sequences_of_other_pairs_are_unequal(hundred):
    pairs, found = hundred
    assert found != pairs[:-1]
    assert found != [*pairs[:-1], pairs[0]]
    assert found != 3
    assert found == found[:]


def test_a_copy_in_another_process_reads_the_same(hundred):
    pairs, found = hundred
    assert pickle.loads(pickle.dumps(found[7:9])) == pairs[7:9]


def test_two_readers_do_not_disturb_each_other(hundred):
    pairs, found = hundred
    assert list(zip(found, found, strict=True)) == list(zip(pairs, pairs, strict=True))


def test_a_file_that_is_overwritten_while_open_is_an_error_that_names_the_line(hundred, tmp_path):
    found = hundred[1]
    size = (tmp_path / "a.jsonl").stat().st_size
    (tmp_path / "a.jsonl").write_bytes(b"?" * size)
    with pytest.raises(ZooError, match=r"a\.jsonl:4: the file has changed since it was checked"):
        found[3]
