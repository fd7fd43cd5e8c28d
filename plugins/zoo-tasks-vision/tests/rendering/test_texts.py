"""Which texts can be drawn."""

from __future__ import annotations

import pytest
from zoo_tasks_vision.rendering.texts import drawable


@pytest.mark.parametrize("text", ["a  b\tc", "a\u00a0b", "e\u0301", "保存"])
def test_what_an_image_shows_can_be_drawn(text):
    assert drawable(text) in {"a b c", "a b", "é", "保存"}


@pytest.mark.parametrize(
    "character",
    ["\u00ad", "\u200b", "\ufeff", "\u200e", "\ue000", "\u20dd", "\u0e31", "\u05d0", "\x07"],
    ids=["soft hyphen", "no width", "byte order", "mark", "private", "enclosing", "vowel", "Hebrew", "bell"],
)
def test_a_text_that_its_image_would_not_show_is_none(character):
    assert drawable(f"read{character}me") is None
