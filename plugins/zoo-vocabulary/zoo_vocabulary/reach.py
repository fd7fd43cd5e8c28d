"""Whether new words come out of texts, asked of the tokenizer itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zoo.models.tokenizers import Tokenizers
from zoo.tasks.contracts import Side
from zoo_vocabulary.sides import Of
from zoo_vocabulary.tokenizer_files import TokenizerFiles

_BESIDE = 6
"""How many letters a word that has no space before it is tried behind."""


@dataclass(frozen=True)
class Reach:
    """Where the new words of one vocabulary come out as one token, on every side that cuts by it."""

    spaced: frozenset[str]
    """The words that have a space before them."""
    alone: frozenset[str]
    sentence: frozenset[str]
    cuts: dict[str, list[int]]
    """The ids of each word alone."""

    def refused(self, word: str) -> bool:
        """Whether `word` does not come out where it should: with a space before it both alone and in a sentence, else
        in one of them."""
        if word in self.spaced:
            return word not in self.alone or word not in self.sentence
        return word not in self.alone and word not in self.sentence


def reach(files: TokenizerFiles, side: Of, tokenizers: Tokenizers, words: Mapping[str, int]) -> Reach:
    """Encode `words` (as the model of `files` spells them, each with its id) with the tokenizers that have them."""
    sides: list[Side] = ["target" if side == "target" else "source"]
    if side is None and files.two_sided:
        sides.append("target")
    letters = [files.text_of(token) for token in sorted(files.tokens) if len(token) == 1]
    letters = [letter for letter in letters if letter.isalpha()][:_BESIDE]
    texts = {word: files.text_of(word) for word in words}
    found = [_of_side(getattr(tokenizers, each), texts, words, letters) for each in sides]
    return Reach(
        frozenset(word for word, text in texts.items() if text.startswith(" ")),
        frozenset.intersection(*(each.alone for each in found)),
        frozenset.intersection(*(each.sentence for each in found)),
        found[0].cuts,
    )


@dataclass(frozen=True)
class _OfSide:
    alone: frozenset[str]
    sentence: frozenset[str]
    cuts: dict[str, list[int]]


def _of_side(tokenizer: Any, texts: Mapping[str, str], ids: Mapping[str, int], letters: list[str]) -> _OfSide:
    alone: set[str] = set()
    sentence: set[str] = set()
    cuts: dict[str, list[int]] = {}
    for word, text in texts.items():
        body = text.strip(" ")
        # The first of three may be cut as the beginning of a text is; the others stand in the midst of one.
        among = [f"{body} {body} {body}"]
        if not text.startswith(" "):
            among += [letter + body for letter in letters]
        encoded = tokenizer([body, text, *among], add_special_tokens=False)["input_ids"]
        cuts[word] = list(encoded[0])
        if any(ids[word] in found for found in encoded[:2]):
            alone.add(word)
        if encoded[2].count(ids[word]) > 1 or any(ids[word] in found for found in encoded[3:]):
            sentence.add(word)
    return _OfSide(frozenset(alone), frozenset(sentence), cuts)
