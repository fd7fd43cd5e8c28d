"""Examples as flat arrays, and the tensors that are made from them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.errors import InputError, ZooError
from zoo.models.tokenizers import Tokenizers
from zoo.tasks import Example
from zoo.training.data.collate import IGNORED, Collator
from zoo.training.data.encoding import encode_pairs, encode_texts
from zoo.training.data.ragged import EncodedPairs, Ragged

EOS = 1


class Letters:
    """A tokenizer of one id per letter, as the contract of tokenizers wants it."""

    eos_token_id = EOS

    def __init__(self, ends: bool = True) -> None:
        self._end = [EOS] if ends else []

    def __call__(self, texts: list[str], **kwargs: Any) -> dict[str, list[list[int]]]:
        return {"input_ids": [[ord(letter) for letter in text] + self._end for text in texts]}


LETTERS = Letters()


def examples(*pairs: tuple[str, str]) -> list[Example]:
    return [Example(str(index), source, target) for index, (source, target) in enumerate(pairs)]


def ragged(rows: list[list[int]]) -> Ragged:
    lengths = [len(row) for row in rows]
    ids = np.array([item for row in rows for item in row], dtype=np.int32)
    return Ragged(ids, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))


def test_texts_are_kept_in_order_across_chunks() -> None:
    texts = [chr(65 + index % 26) * (index % 5) for index in range(4500)]
    encoded = encode_texts(Letters(), texts)
    assert len(encoded) == 4500
    for index in (0, 1, 1999, 2000, 4499):
        assert encoded[index].tolist() == [ord(letter) for letter in texts[index]] + [EOS]


def test_examples_too_long_on_either_side_are_left_out_and_counted() -> None:
    pairs = encode_pairs(
        Tokenizers(LETTERS, LETTERS), examples(("aaa", "b"), ("a", "bbb"), ("aa", "bb"), ("", "b")), max_tokens=3
    )
    assert pairs.dropped == 2
    assert [pairs.sources[index].tolist() for index in range(2)] == [[97, 97, EOS], [EOS]]
    assert [pairs.targets[index].tolist() for index in range(2)] == [[98, 98, EOS], [98, EOS]]


def test_context_gives_way_so_that_the_same_examples_are_learned_with_it_and_without() -> None:
    sentences = ["a", "bb", "cccc", "d" * 8, "e" * 5]
    context = ["x" * 4, "y" * 2, "z"]
    bare = [Example(str(n), text, "t") for n, text in enumerate(sentences)]
    prefixed = [
        Example(str(n), "\n".join([*context, text]), "t", sentence=text, context_lines=3)
        for n, text in enumerate(sentences)
    ]
    tagged = [replace(example, source=f"T {example.source}", tag="T") for example in prefixed]
    beside = [replace(example, context="\n".join(context), context_lines=3) for example in bare]
    alone, read, with_tag, second = (
        encode_pairs(Tokenizers(LETTERS, LETTERS), some, max_tokens=8) for some in (bare, prefixed, tagged, beside)
    )
    assert alone.dropped == read.dropped == second.dropped == 1
    texts = [["".join(map(chr, row[:-1])) for row in side] for side in (read.sources, with_tag.sources)]
    assert texts[0] == ["yy\nz\na", "yy\nz\nbb", "z\ncccc", "z\neeeee"]
    assert texts[1] == ["T z\na", "T z\nbb", "T cccc", "T eeeee"]
    assert second.contexts is not None
    assert {"".join(map(chr, row[:-1])) for row in second.contexts} == {"yy\nz"}


def test_a_bound_that_leaves_nothing_is_the_users_mistake() -> None:
    with pytest.raises(InputError, match=r"max_tokens 3 leaves no example \(the shortest of 1 has 5\)"):
        encode_pairs(Tokenizers(LETTERS, LETTERS), examples(("aaaa", "b")), max_tokens=3)


def test_a_tokenizer_that_does_not_end_in_eos_is_refused() -> None:
    with pytest.raises(ZooError, match="eos"):
        encode_texts(Letters(ends=False), ["ab"])


rows = st.lists(st.lists(st.integers(2, 99), min_size=1, max_size=9), min_size=1, max_size=12)


@settings(deadline=None, max_examples=50)
@given(rows, st.data())
def test_a_batch_says_what_its_rows_say(sources: list[list[int]], data: st.DataObject) -> None:
    """Against plain Python: padding, masks, labels, shifted inputs, places of real tokens."""
    targets = data.draw(
        st.lists(st.lists(st.integers(2, 99), min_size=1, max_size=9), min_size=len(sources), max_size=len(sources))
    )
    chosen = data.draw(st.lists(st.integers(0, len(sources) - 1), min_size=1, max_size=6))
    pairs = EncodedPairs(ragged(sources), ragged(targets), 0)
    batch = Collator(pairs, pad_id=0, start_id=7)(np.array(chosen, dtype=np.int64))
    width = max(len(targets[index]) for index in chosen)
    longest = max(len(sources[index]) for index in chosen)
    for row, index in enumerate(chosen):
        source, target = sources[index], targets[index]
        assert batch.input_ids[row].tolist() == source + [0] * (longest - len(source))
        assert batch.labels[row].tolist() == target + [IGNORED] * (width - len(target))
        assert batch.decoder_input_ids[row].tolist() == ([7, *target] + [0] * width)[:width]
        if batch.attention_mask is not None:
            assert batch.attention_mask[row].tolist() == [1] * len(source) + [0] * (longest - len(source))
    assert (batch.attention_mask is None) == all(len(sources[index]) == longest for index in chosen)
    assert batch.targets().tolist() == [item for index in chosen for item in targets[index]]
    assert batch.target_tokens == sum(len(targets[index]) for index in chosen)
    assert batch.source_tokens == sum(len(sources[index]) for index in chosen)
    assert batch.input_ids.dtype == torch.int64
