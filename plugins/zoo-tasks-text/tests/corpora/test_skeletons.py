"""Aligning the blocks of a page with those of its translation."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from zoo_tasks_text.corpora.blocks import Block
from zoo_tasks_text.corpora.skeletons import aligned

KINDS = ["p", "li", "heading", "td", "dd"]
kinds = st.lists(st.sampled_from(KINDS), min_size=1, max_size=25)


def _english(kind: str, place: int) -> Block:
    return Block(kind, f"Sentence of the page with command{place} in it.")


def _chinese(kind: str, place: int) -> Block:
    return Block(kind, f"本页中含有 command{place} 的一句话。")


def _pages(skeleton: list[str]) -> tuple[list[Block], list[Block]]:
    places = list(enumerate(skeleton))
    return [_english(kind, n) for n, kind in places], [_chinese(kind, n) for n, kind in places]


@given(kinds)
def test_equal_skeletons_align_one_to_one(skeleton):
    english, chinese = _pages(skeleton)
    assert aligned(english, chinese, "zh") == [(n, n) for n in range(len(skeleton))]


@given(kinds, st.data())
def test_a_block_left_untranslated_costs_nothing_but_itself_where_names_tell_the_others_apart(skeleton, data):
    english, chinese = _pages(skeleton)
    gone = data.draw(st.integers(0, len(skeleton) - 1))
    found = aligned(english, chinese[:gone] + chinese[gone + 1 :], "zh")
    assert set(found) <= {(n, n - (n > gone)) for n in range(len(skeleton)) if n != gone}
    far = [n for n in range(len(skeleton)) if n != gone]
    if len(skeleton) >= 6:
        assert len(found) >= len(far) - 2


plain = st.builds(
    Block,
    st.sampled_from(KINDS),
    st.text("ab 1中文。", max_size=12),
    st.lists(st.sampled_from(["x", "y", "z"]), max_size=2).map(tuple),
    st.frozensets(st.sampled_from(["m", "n"])),
)


@given(st.lists(plain, max_size=12), st.lists(plain, max_size=12))
def test_the_alignment_of_any_two_pages_rises_on_both_sides_and_keeps_kinds(left, right):
    found = aligned(left, right, "zh")
    assert all(a < c and b < d for (a, b), (c, d) in pairwise(found))
    assert all(left[i].kind == right[j].kind for i, j in found)


def test_it_is_unclear_which_of_two_alike_blocks_is_missing_so_neither_is_taken():
    english = [Block("p", "Press the key."), Block("p", "Press the rod."), Block("heading", "Doors")]
    chinese = [Block("p", "请按下按键。"), Block("heading", "门")]
    assert aligned(english, chinese, "zh") == [(2, 1)]


def test_an_identifier_that_both_pages_have_once_is_an_anchor():
    english = [Block("p", "Press the key."), Block("heading", "Doors", ("doors",)), Block("p", "Open.")]
    chinese = [Block("heading", "门", ("doors",)), Block("p", "请打开。")]
    assert aligned(english, chinese, "zh") == [(1, 0), (2, 1)]


def test_a_listing_that_both_pages_have_once_is_an_anchor():
    listing = Block("listing", "", (), frozenset({"listing ls -l"}))
    english = [Block("p", "Type this:"), listing, Block("p", "Do it.")]
    chinese = [Block("p", "译者注。"), Block("p", "请输入："), listing, Block("p", "照做。")]
    found = aligned(english, chinese, "zh")
    assert (1, 2) in found
    assert (2, 3) in found


def test_equal_skeletons_whose_names_disagree_are_not_paired_by_place():
    english = [_english("p", 1), _english("p", 2), _english("p", 3)]
    chinese = [_chinese("p", 2), _chinese("p", 3), _chinese("p", 4)]
    assert set(aligned(english, chinese, "zh")) <= {(1, 0), (2, 1)}
