"""Whole words."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from zoo_tasks_text.tokenizers import vocabulary
from zoo_tasks_text.tokenizers.options import WordOptions
from zoo_tasks_text.tokenizers.word import Word, words_of

MIXED = "打开 Writer 文件。"
FILLER = "p q r s"
"""Four words, so that a vocabulary is never too small for its options."""


def cut(text: str, **options) -> list[str]:
    return [word for word, _ in words_of(WordOptions(**options)).pre_tokenize_str(text)]


def knowing(text: str, **options):
    """A tokenizer that knows every word of `text`."""
    words = {*cut(vocabulary.normalizer("nfkc").normalize_str(text), **options), *cut(FILLER, **options)}
    return Word(WordOptions(vocab_size=4 + len(words), **options)).train(iter([text, FILLER]))


def test_words_keep_the_space_before_them_and_cjk_is_cut_by_character():
    assert cut("Hello, world") == ["▁Hello", ",", "▁world"]
    assert cut(MIXED) == ["打", "开", "▁Writer", "▁", "文", "件", "。"]
    assert cut("カー한국어") == ["カ", "ー", "한국어"]


def test_options_leave_cjk_words_and_punctuation_whole():
    assert cut(MIXED, cjk="words") == ["▁打开", "▁Writer", "▁文件", "。"]
    assert cut("Hello, world", punctuation="attached") == ["▁Hello,", "▁world"]
    assert cut(MIXED, cjk="words", punctuation="attached") == ["▁打开", "▁Writer", "▁文件。"]


def test_the_vocabulary_is_the_most_frequent_words_ties_by_code_point():
    made = Word(WordOptions(vocab_size=8)).train(iter(["b b b a a c c d e"]))
    assert made.convert_ids_to_tokens(list(range(8))) == ["<pad>", "</s>", "<s>", "<unk>", "▁b", "▁a", "▁c", "▁d"]
    assert made("a e b")["input_ids"] == [5, 3, 4, 1]


@pytest.mark.parametrize("options", [{}, {"cjk": "words"}, {"punctuation": "attached"}])
@settings(max_examples=50, deadline=None)
@given(text=st.text(alphabet="ab ,.-<>/s我カーé▁\n", max_size=40))
def test_known_words_come_back_but_for_white_space(options, text):
    expected = vocabulary.normalizer("nfkc").normalize_str(text)
    assume(expected)
    made = knowing(text, **options)
    ids = made(text)["input_ids"]
    assert not {0, 1, 2, 3} & set(ids[:-1])
    assert made.decode(ids, skip_special_tokens=True) == expected


@pytest.mark.parametrize("punctuation", ["apart", "attached"])
@pytest.mark.parametrize("text", ["</s>", "我</s>", "我<pad>", "<s> <unk> x</s></s>"])
def test_text_that_spells_a_special_token_stays_text(text, punctuation):
    made = knowing(text, punctuation=punctuation)
    ids = made(text)["input_ids"]
    assert not {0, 1, 2, 3} & set(ids[:-1])
    assert made.decode(ids, skip_special_tokens=True) == text
