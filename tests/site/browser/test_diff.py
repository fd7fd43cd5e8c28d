"""The marks of the compare page: longest common subsequences of words and characters, by the page's own script."""

from __future__ import annotations

import random

import pytest

pytestmark = pytest.mark.browser


@pytest.fixture
def runs(listening, build, make_record):
    """``runs(one, other, "words")`` -> for each side its parts as (text, differs)."""
    site = build([make_record(name="a"), make_record(name="b")])
    listening.open_page(site.folder / "compare.html")

    def call(one, other, split="words"):
        return listening.execute_script(
            "return zooDiff.runs(arguments[0], arguments[1], zooDiff[arguments[2]])", one, other, split
        )

    return call


def common_length(one, other):
    """The length of a longest common subsequence, by the textbook's recurrence (CLRS, section 14.4)."""
    row = [0] * (len(other) + 1)
    for left in one:
        before = row
        row = [0]
        for index, right in enumerate(other):
            row.append(before[index] + 1 if left == right else max(row[index], before[index + 1]))
    return row[-1]


def test_what_is_unmarked_is_a_longest_common_subsequence(runs):
    chance = random.Random(0)
    for _ in range(60):
        one, other = ("".join(chance.choices("ab字 é", k=chance.randrange(12))) for _ in range(2))
        left, right = runs(one, other, "characters")
        assert "".join(part for part, _ in left) == one
        assert "".join(part for part, _ in right) == other
        shared = ["".join(part for part, differs in side if not differs) for side in (left, right)]
        assert shared[0] == shared[1]
        assert len(shared[0]) == common_length(one, other)


@pytest.mark.parametrize(
    ("one", "other", "left", "right"),
    [
        ("the cat sat", "the dog sat", ["cat"], ["dog"]),
        ("same", "same", [], []),
        ("", "new words", [], ["new words"]),
        ("don't stop", "don't stop!", [], ["!"]),
        ("红伞在门口", "蓝伞在门口", ["红"], ["蓝"]),
        ("ウィンドウを開く", "ウィンドウを閉じる", ["開く"], ["閉じる"]),
        ("file 12", "file 13", ["12"], ["13"]),
        ("naïve été", "naïve hiver", ["été"], ["hiver"]),
        ("👍🏽 ok", "👎🏽 ok", ["👍"], ["👎"]),
    ],
)
def test_words_are_compared_whole_and_scripts_without_spaces_by_character(runs, one, other, left, right):
    marked = [[part for part, differs in side if differs] for side in runs(one, other)]
    assert marked == [left, right]


def test_two_long_texts_without_anything_in_common_end_at_once(runs, listening):
    one, other = " ".join(f"a{n}" for n in range(2000)), " ".join(f"b{n}" for n in range(2000))
    left, right = runs(f"start {one} end", f"start {other} end")
    assert [part for part, differs in left if not differs] == ["start ", " end"]
    assert [part for part, differs in right if differs] == [other]
