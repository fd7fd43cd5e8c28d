"""Chromium's data packs."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zoo_tasks_text.corpora.resource_packs import texts

from zoo.errors import InputError


@pytest.mark.parametrize("version", [4, 5])
def test_texts_are_read_by_number(pack, version):
    data = pack({7: "关闭".encode(), 9: b"", 12: b"Close"}, version=version)
    assert texts(data) == {7: "关闭", 9: "", 12: "Close"}


def test_an_alias_has_the_text_of_the_entry_it_points_to_and_its_own_place_in_the_order(pack):
    data = pack({7: b"seven", 12: b"twelve"}, {9: 1, 3: 0})
    assert list(texts(data).items()) == [(3, "seven"), (7, "seven"), (9, "twelve"), (12, "twelve")]


def test_utf_16_is_read(pack):
    assert texts(pack({1: "閉じる".encode("utf-16-le")}, encoding=2)) == {1: "閉じる"}


def test_compressed_resources_are_passed_over(pack):
    assert texts(pack({1: b"\x1f\x8b\x08\xff", 2: b"\x1e\x9b\xff", 3: b"text"})) == {3: "text"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda pack: b"", "no data pack"),
        (lambda pack: struct.pack("<I", 6) + bytes(20), "version 6, expected 4 or 5"),
        (lambda pack: pack({1: b"one"})[:-1], "bytes 24 to 27 of 26"),
        (lambda pack: pack({1: b"one"}, {2: 5}), "resource 2 is said to equal entry 5 of 1"),
        (lambda pack: pack({1: b"\xff\xff"}), "can't decode"),
        (lambda pack: pack({1: b"one"}, encoding=0), "encoding 0, expected text"),
    ],
)
def test_a_broken_pack_is_one_clear_line(pack, make, message):
    with pytest.raises(InputError, match=message) as caught:
        texts(make(pack), "some.deb: en-GB.pak")
    assert str(caught.value).startswith("some.deb: en-GB.pak")
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=64), st.integers(0, 40))
def test_any_bytes_are_read_or_refused(pack, junk, place):
    whole = pack({1: b"one", 2: b"two"}, {5: 0})
    try:
        found = texts(whole[:place] + junk + whole[place + len(junk) :])
    except InputError:
        return
    assert all(isinstance(text, str) for text in found.values())
