"""What a pair of languages changes of a call, and which pairs are refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from zoo.errors import InputError
from zoo.export.folder import Cache, Decoding, LanguagesPart, LanguageText, SequencePart, Special
from zoo.export.runtime import Translator
from zoo.export.runtime.languages import AS_SAVED, Pair, pair_of
from zoo.export.runtime.settings import Search, search_of
from zoo.export.runtime.texts import Texts

TOKENS = {"eng_Latn": 4, "deu_Latn": 5, "zho_Hans": 6}
BY_TOKENS = LanguagesPart(tokens=TOKENS, before=[], behind=[2, None], forces=True)
T5 = LanguagesPart(
    texts=[
        LanguageText(source="en", target="de", text="en to de: "),
        LanguageText(source="en", target="fr", text="en to fr: "),
        LanguageText(source="ro", target="de", text="ro to de: "),
    ]
)
MARIAN = LanguagesPart(texts=[LanguageText(source=None, target="deu", text=">>deu<< ")])


def test_without_a_word_nothing_changes() -> None:
    assert pair_of(BY_TOKENS, None, None) == pair_of(None, None, None) == AS_SAVED


def test_pairs_are_tokens_or_texts() -> None:
    assert pair_of(BY_TOKENS, "deu_Latn", "zho_Hans") == Pair(source=5, target=6)
    assert pair_of(BY_TOKENS, None, "zho_Hans") == Pair(target=6)
    assert pair_of(T5, "en", "fr") == pair_of(T5, None, "fr") == Pair("en to fr: ")
    assert pair_of(T5, "ro", "de") == Pair("ro to de: ")
    assert pair_of(MARIAN, None, "deu") == Pair(">>deu<< ")


REFUSED: list[tuple[LanguagesPart | None, str | None, str | None, str]] = [
    (None, "en", None, "source language 'en': this model names no languages"),
    (None, None, "de", "target language 'de': this model names no languages"),
    (BY_TOKENS, "eng_Latin", None, r"source language 'eng_Latin': did you mean 'eng_Latn'\? \(known: deu_Latn, eng_L"),
    (BY_TOKENS, None, "zh", r"target language 'zh': did you mean 'zho_Hans'\?"),
    (BY_TOKENS, None, "", r"target language '': known: deu_Latn, eng_Latn, zho_Hans$"),
    (T5, "en", None, "target language: expected one beside the source language 'en': de, fr"),
    (T5, None, "de", "source language: expected one beside the target language 'de': en, ro"),
    (T5, "ro", "fr", "target language 'fr': known: de"),
    (T5, "en", "de_DE", r"target language 'de_DE': did you mean 'de'\?"),
    (MARIAN, "eng", "deu", "source language 'eng': this model is told the target's language alone"),
    (MARIAN, None, "ger", "target language 'ger': known: deu"),
]


@pytest.mark.parametrize(("languages", "source", "target", "expected"), REFUSED)
def test_a_pair_that_the_model_has_not_is_refused_with_the_nearest(
    languages: LanguagesPart | None, source: str | None, target: str | None, expected: str
) -> None:
    with pytest.raises(InputError, match=expected) as told:
        pair_of(languages, source, target)
    assert "\n" not in str(told.value)


class Told:
    """An engine that keeps what it is told, and writes what it has read."""

    def __init__(self) -> None:
        self.sources: list[list[int]] = []
        self.search: Search | None = None

    def written(self, sources: Sequence[Sequence[int]], search: Search, contexts: Any = None) -> list[list[int]]:
        self.sources, self.search = [list(row) for row in sources], search
        return self.sources


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer of words, whose sources end with the end token and English's."""
    words = ["<s>", "<pad>", "</s>", "<unk>", *TOKENS, "a", "b", ">>deu<<"]
    tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s> eng_Latn", special_tokens=[("</s>", 2), ("eng_Latn", 4)]
    )
    found = tmp_path_factory.mktemp("words")
    tokenizer.save(str(found / "tokenizer.json"))
    return found


def translator(folder: Path, languages: LanguagesPart) -> tuple[Translator, Told]:
    sequence = SequencePart(
        cache=Cache(layers=1, heads=1, head_width=1),
        vocabulary=10,
        special=Special(start=2, end=2, padding=1, forced_bos=5),
        max_source_tokens=4,
        max_target_tokens=None,
        languages=languages,
        decoding=Decoding(strategy="greedy", max_new_tokens=3, batch_size=2),
    )
    engine = Told()
    return Translator(sequence, engine, Texts(folder, longest_source=4), search_of(sequence, "here")), engine


def test_the_tokens_of_a_pair_stand_where_those_of_the_saved_pair_stood(folder: Path) -> None:
    """Behind a source that is cut, and in the search; another call has its own."""
    made, engine = translator(folder, BY_TOKENS)
    made.translate(["a b a", "b"], source_language="deu_Latn", target_language="zho_Hans")
    assert engine.sources == [[7, 8, 2, 5], [8, 2, 5]]
    assert engine.search is not None
    assert (engine.search.start, engine.search.forced_first) == (2, 6)
    made.translate(["b"])
    assert engine.sources == [[8, 2, 4]]
    assert engine.search.forced_first == 5


def test_a_decoder_may_begin_with_the_language_and_be_forced_to_nothing(folder: Path) -> None:
    made, engine = translator(folder, BY_TOKENS.model_copy(update={"starts": True, "forces": False}))
    made.translate(["b"], target_language="zho_Hans")
    assert engine.search is not None
    assert (engine.search.start, engine.search.forced_first) == (6, 5)


def test_text_stands_in_front_of_each_source(folder: Path) -> None:
    made, engine = translator(folder, MARIAN)
    made.translate(["b"], target_language="deu")
    assert engine.sources == [[9, 8, 2, 4]]
