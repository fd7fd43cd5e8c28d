"""Bytes and merges of bytes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import pre_tokenizers
from transformers import AutoTokenizer
from zoo_tasks_text.tokenizers.byte_level import BYTE_CHARACTERS, ByteLevel
from zoo_tasks_text.tokenizers.options import ByteLevelOptions

TEXTS = ["low " * 5 + "lower " * 2 + "newest " * 6 + "widest " * 3, "我们打开文件。"]


def trained(vocab_size: int, texts=TEXTS, normalization="none"):
    return ByteLevel(ByteLevelOptions(vocab_size=vocab_size, normalization=normalization)).train(iter(texts))


@pytest.fixture(scope="module", params=[260, 265])
def tokenizer(request):
    return trained(request.param)


@pytest.fixture(scope="module")
def bytes_alone():
    return trained(260)


def test_a_byte_has_the_character_that_tokenizers_gives_it():
    splitter = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    for character in map(chr, range(0x800)):
        ((shown, _),) = splitter.pre_tokenize_str(character)
        assert shown == "".join(BYTE_CHARACTERS[byte] for byte in character.encode())
    assert set(BYTE_CHARACTERS) == set(pre_tokenizers.ByteLevel.alphabet())


@settings(deadline=None)
@given(st.text(max_size=40))
def test_bytes_alone_are_utf_8_after_the_four_special_tokens(bytes_alone, text):
    # As in ByT5 (arXiv:2105.13626), whose bytes follow three special tokens.
    expected = bytes_alone.backend_tokenizer.normalizer.normalize_str(text)
    assert bytes_alone(text)["input_ids"] == [*(4 + byte for byte in expected.encode()), 1]


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_any_text_comes_back_but_for_white_space(tokenizer, text):
    ids = tokenizer(text)["input_ids"]
    assert not {0, 1, 2, 3} & set(ids[:-1])
    expected = tokenizer.backend_tokenizer.normalizer.normalize_str(text)
    assert tokenizer.decode(ids, skip_special_tokens=True) == expected
    assert "".join(expected.split()) == "".join(text.split())


@pytest.mark.parametrize("text", ["</s>", "a<pad>b", "<s> <unk> </s>", "<0x41>", "x</s></s>", "▁ a"])
def test_text_that_spells_a_special_token_or_a_mark_stays_text(tokenizer, text):
    ids = tokenizer(text)["input_ids"]
    assert not {0, 1, 2, 3} & set(ids[:-1])
    assert tokenizer.decode(ids, skip_special_tokens=True) == text


def test_merges_are_the_most_frequent_pairs_of_bytes():
    # Sennrich et al. 2016, figure 1, on ASCII, where bytes are characters.
    merges = json.loads(trained(262, TEXTS[:1]).backend_tokenizer.to_str())["model"]["merges"]
    assert [tuple(merge) for merge in merges] == [("e", "s"), ("es", "t")]


def test_a_word_is_the_same_tokens_at_the_start_and_inside(tmp_path):
    made = trained(265)
    word = made("low")["input_ids"][:-1]
    assert made("low low")["input_ids"] == [*word, *word, 1]
    made.save_pretrained(tmp_path)
    assert AutoTokenizer.from_pretrained(tmp_path)("low low")["input_ids"] == [*word, *word, 1]


def test_nfkc_makes_widths_one():
    made = trained(260, normalization="nfkc")
    assert made.decode(made("Ａ１ ％")["input_ids"], skip_special_tokens=True) == "A1 %"
