"""The words of the language pair: stems, the words that decide between translations, names."""

from __future__ import annotations

from dataclasses import dataclass

from zoo_tasks_text.corpora.generated.draws import Draws
from zoo_tasks_text.corpora.generated.options import GeneratedOptions

_SOURCE_SYLLABLES = tuple(consonant + vowel for consonant in "ptkmnslr" for vowel in "aiu")
_TARGET_SYLLABLES = tuple(consonant + vowel + end for consonant in "bdgvzhj" for vowel in "aeo" for end in "nlk")
_LETTERS = str.maketrans("ptkmnslraiuPTKMNSLR", "bdgvzhjwaeoBDGVZHJW")
DECIDING_WORDS = 2
"""Words that stand for each of two translations."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One stem in both languages; `gender` (0 or 1) is of the target noun."""

    source: str
    target: str
    gender: int = 0
    other: str = ""
    """The second translation of a noun that has two; both are of one gender."""

    def reading(self, number: int) -> str:
        """The target stem of reading 0 or 1."""
        return self.other if number else self.target


Deciding = tuple[tuple[str, ...], tuple[str, ...]]
"""Source words without a translation, of which the first ones decide on reading 0 and the second ones on reading 1."""


@dataclass(frozen=True)
class Lexicon:
    """The content words, in the order of their ranks, and the words that decide between translations."""

    nouns: tuple[Entry, ...]
    verbs: tuple[Entry, ...]
    adjectives: tuple[Entry, ...]
    adverbs: tuple[Entry, ...]
    homographs: tuple[Entry, ...] = ()
    terms: tuple[Entry, ...] = ()
    cues: Deciding = ((), ())
    """Of homographs."""
    definitions: Deciding = ((), ())
    """Of terms."""


def lexicon(draws: Draws, options: GeneratedOptions) -> Lexicon:
    """`vocabulary` stems: half nouns, a quarter verbs, the rest adjectives and, of those, a fifth adverbs."""
    used: set[str] = set()

    def stem(syllables: tuple[str, ...], ending: str = "") -> str:
        while True:
            word = "".join(syllables[draws.below(len(syllables))] for _ in range(draws.between(1, 3))) + ending
            if word not in used:
                used.add(word)
                return word

    def entries(count: int, ending: str, translations: int = 1) -> tuple[Entry, ...]:
        # The source ending is the word class: no inflected form of one class is a word of another.
        return tuple(
            Entry(
                stem(_SOURCE_SYLLABLES, ending),
                stem(_TARGET_SYLLABLES),
                draws.below(2),
                stem(_TARGET_SYLLABLES) if translations == 2 else "",
            )
            for _ in range(count)
        )

    def deciding(ending: str) -> Deciding:
        first, second = (tuple(stem(_SOURCE_SYLLABLES, ending) for _ in range(DECIDING_WORDS)) for _ in range(2))
        return first, second

    verbs, adverbs = options.vocabulary // 4, max(1, options.vocabulary // 20)
    adjectives = options.vocabulary // 4 - adverbs
    return Lexicon(
        entries(options.vocabulary - verbs - adjectives - adverbs, "k"),
        entries(verbs, "f"),
        entries(adjectives, "x"),
        entries(adverbs, "y"),
        entries(options.homographs, "k", translations=2),
        entries(options.terms, "k", translations=2),
        deciding("q"),
        deciding("z"),
    )


def name(draws: Draws) -> str:
    """A name of 3 to 5 syllables, one of 8.3 million; the only source words with a capital letter."""
    syllables = (_SOURCE_SYLLABLES[draws.below(len(_SOURCE_SYLLABLES))] for _ in range(draws.between(3, 5)))
    return "".join(syllables).capitalize()


def transliterated(word: str) -> str:
    """A source name in target letters: p t k m n s l r a i u become b d g v z h j w a e o."""
    return word.translate(_LETTERS)
