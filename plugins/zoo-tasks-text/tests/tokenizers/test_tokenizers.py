"""Trained tokenizers."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from zoo_tasks_text.corpora.generated import generate
from zoo_tasks_text.corpora.options import GeneratedOptions
from zoo_tasks_text.tokenizers import vocabulary
from zoo_tasks_text.tokenizers.bpe import Bpe
from zoo_tasks_text.tokenizers.byte_level import ByteLevel
from zoo_tasks_text.tokenizers.options import ByteLevelOptions, TokenizerOptions, UnigramOptions, WordOptions
from zoo_tasks_text.tokenizers.unigram import Unigram, train_sentencepiece
from zoo_tasks_text.tokenizers.word import Word

from zoo.errors import InputError

KINDS = {
    "unigram": (Unigram, UnigramOptions, {"vocab_size": 900, "character_coverage": 1.0}),
    "bpe": (Bpe, TokenizerOptions, {"vocab_size": 900, "character_coverage": 1.0}),
    "byte-level": (ByteLevel, ByteLevelOptions, {"vocab_size": 900}),
    "bytes": (ByteLevel, ByteLevelOptions, {"vocab_size": 260}),
    "word": (Word, WordOptions, {"vocab_size": 250}),
}


def corpus() -> list[str]:
    """Invented Latin sentences and strings of 200 ideographs with a frequency like that of words."""
    pairs = generate(GeneratedOptions(pairs=400, dev_pairs=1, test_pairs=1))["train"]
    latin = [text for pair in pairs for text in pair.texts.values()]
    draw = random.Random(1)
    wide = ["".join(chr(0x4E00 + int(200 * draw.random() ** 3)) for _ in range(12)) + "。" for _ in range(300)]
    return latin + wide + ["Ａ１ ％ ｶﾞ", "the end <s> of </s> it"] * 3


TEXTS = corpus()


def trained(kind: str, texts=TEXTS, **options):
    trainer, model, defaults = KINDS[kind]
    return trainer(model(**{**defaults, **options})).train(iter(texts))


def digests() -> str:
    """SHA-256 of each kind's tokenizer."""
    return " ".join(hashlib.sha256(trained(kind).backend_tokenizer.to_str().encode()).hexdigest() for kind in KINDS)


@pytest.fixture(scope="module", params=["unigram", "bpe"])
def with_bytes(request):
    return trained(request.param, byte_fallback=True, normalization="none")


def largest(kind: str) -> int:
    """The largest possible vocabulary, as the refusal of a larger one names it."""
    with pytest.raises(InputError, match=r"too large for the training texts: at most (\d+)") as caught:
        trained(kind, vocab_size=400_000)
    return int(str(caught.value).rsplit(" ", 1)[1])


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request):
    if request.param == "word":
        return trained("word", vocab_size=largest("word"))  # every word of the texts
    return trained(request.param)


def test_special_tokens_stand_at_their_ids(tokenizer):
    assert tokenizer.convert_tokens_to_ids(["<pad>", "</s>", "<s>", "<unk>"]) == [0, 1, 2, 3]
    assert len(tokenizer) == tokenizer.vocab_size
    assert sorted(tokenizer.get_vocab().values()) == list(range(len(tokenizer)))


def test_a_text_ends_in_eos_and_has_no_bos(tokenizer):
    found = tokenizer(TEXTS[0])
    assert found["input_ids"][-1] == 1
    assert not {0, 1, 2, 3} & set(found["input_ids"][:-1])
    assert set(found) == {"input_ids", "attention_mask"}


def test_training_texts_come_back(tokenizer):
    for text in TEXTS[:50] + TEXTS[-400:]:
        expected = " ".join(unicodedata.normalize("NFKC", text).split())
        assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == expected


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_with_byte_fallback_any_text_comes_back_but_for_white_space(with_bytes, text):
    ids = with_bytes(text)["input_ids"]
    assert 3 not in ids
    assert ids.count(1) == 1
    # White space and the mark that stands for it are all one space, as the options say.
    expected = with_bytes.backend_tokenizer.normalizer.normalize_str(text)
    assert with_bytes.decode(ids, skip_special_tokens=True) == expected
    assert "".join(expected.split()) == "".join(text.replace("▁", " ").split())


@pytest.mark.parametrize("text", ["</s>", "a<pad>b", "<s> <unk> </s>", "<0x41>", "x</s></s>", "< /s>"])
def test_text_that_spells_a_special_token_stays_text(with_bytes, text):
    ids = with_bytes(text)["input_ids"]
    assert not {0, 1, 2, 3} & set(ids[:-1])
    assert with_bytes.decode(ids, skip_special_tokens=True) == text


def test_nfkc_makes_widths_one_and_none_keeps_them():
    text = "Ａ１ ％"
    nfkc, plain = trained("unigram"), trained("unigram", normalization="none")
    assert nfkc.decode(nfkc(text)["input_ids"], skip_special_tokens=True) == "A1 %"
    assert plain.decode(plain(text)["input_ids"], skip_special_tokens=True) == text


@pytest.mark.parametrize("byte_fallback", [False, True])
def test_unigram_cuts_as_sentencepiece_does(byte_fallback):
    options = UnigramOptions(vocab_size=900, byte_fallback=byte_fallback, normalization="none")
    ours, theirs = Unigram(options).train(iter(TEXTS)), train_sentencepiece(iter(TEXTS), options)
    assert [ours.convert_ids_to_tokens(i) for i in range(900)] == [theirs.IdToPiece(i) for i in range(900)]
    draw = random.Random(2)
    words = [word for text in TEXTS for word in text.split() if "<" not in word]
    texts = [" ".join(draw.choices(words, k=6)) for _ in range(300)] + ["未知 字 ☃☃ x", "  two  spaces "]
    for text in texts:
        assert ours(text)["input_ids"] == [*theirs.EncodeAsIds(text), 1]


def test_bpe_merges_the_most_frequent_pair_first():
    # Sennrich et al. 2016, figure 1: their toy dictionary, "low" 5, "lower" 2, "newest" 6, "widest" 3.
    words = "low " * 5 + "lower " * 2 + "newest " * 6 + "widest " * 3
    alphabet = set(words.replace(" ", "")) | {"▁"}
    options = TokenizerOptions(vocab_size=4 + len(alphabet) + 2, character_coverage=1.0, normalization="none")
    made = Bpe(options).train(iter([words]))
    merges = json.loads(made.backend_tokenizer.to_str())["model"]["merges"]
    assert [tuple(merge) for merge in merges] == [("e", "s"), ("es", "t")]


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "threads"), [("1", "3"), ("77", "1")])
def test_another_process_trains_the_same_bytes(seed, threads):
    program = "import sys; sys.path.insert(0, sys.argv[1]); import test_tokenizers as t; print(t.digests())"
    environment = {**os.environ, "PYTHONHASHSEED": seed, "RAYON_NUM_THREADS": threads}
    command = [sys.executable, "-c", program, os.path.dirname(__file__)]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == digests()


@pytest.mark.parametrize("kind", ["unigram", "bpe", "byte-level", "word"])
def test_a_vocabulary_too_large_is_refused_with_the_largest_possible(kind):
    size = largest(kind)
    assert len(trained(kind, vocab_size=size)) == size
    with pytest.raises(InputError, match=f"at most {size}"):
        trained(kind, vocab_size=size + 1)


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_a_vocabulary_too_small_is_refused_with_the_smallest_possible(kind):
    with pytest.raises(InputError, match=r"too small for character_coverage 1.0: at least (\d+)"):
        trained(kind, vocab_size=50)


def test_a_coverage_that_sentencepiece_does_not_take_is_refused_before_anything_is_read():
    with pytest.raises(ValidationError, match=r"at least 0\.98"):
        UnigramOptions(character_coverage=0.9)


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_rare_characters_are_left_to_unk_by_coverage(kind):
    texts = ["abc " * 50] * 20 + ["abc 字"]
    made = trained(kind, texts, vocab_size=9, character_coverage=0.99)
    assert 3 in made("字")["input_ids"]
    assert 3 not in made("abc")["input_ids"]


@pytest.mark.parametrize("kind", KINDS)
def test_no_text_is_refused(kind):
    with pytest.raises(InputError, match="no text to train"):
        trained(kind, ["", "  "])


def test_covered_characters_break_ties_by_code_point():
    assert vocabulary.covered_characters(["ba ab c"], 0.8) == ["a", "b"]
    assert vocabulary.covered_characters(["ba ab dc"], 0.81) == ["a", "b", "c"]


def test_what_is_saved_loads_as_the_same(tokenizer, tmp_path):
    from transformers import AutoTokenizer

    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    for text in [*TEXTS[::40], "</s> x <pad>", "☃"]:
        assert loaded(text)["input_ids"] == tokenizer(text)["input_ids"]
