"""A small generated language pair: no download, the same bytes everywhere.

Source (``qaa``): time adverb last, determiner - adjective - noun, subject - verb - object; plural nouns and verbs
are marked. Target (``qab``): time adverb first, noun - adjective, subject - object - verb; nouns have a gender that
the source does not show, adjectives and verbs agree with it, objects carry a case ending. A model must learn a
lexicon, two reorderings and an agreement that reaches over the object.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import cast

from zoo.errors import InputError
from zoo.tasks import Corpus, DataHome, Pair, PreparedCorpus, Split
from zoo.tasks.contracts import Progress, silent
from zoo_tasks_text.corpora import prepared
from zoo_tasks_text.corpora.options import GeneratedOptions
from zoo_tasks_text.corpora.splits import comparison_key

SOURCE, TARGET = "qaa", "qab"
"""Codes that ISO 639-2 keeps for local use."""
_PATIENCE = 2000
"""Draws in a row that bring no new sentence before the language counts as exhausted."""
VERSION = 1
"""Raise it with any change that gives other pairs."""


class Draws:
    """Whole-number draws. Python promises the sequence of `random()` across versions, but not that of `choice`."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def below(self, bound: int) -> int:
        return int(self._random.random() * bound)

    def between(self, low: int, high: int) -> int:
        return low + self.below(high - low + 1)


@dataclass(frozen=True)
class Entry:
    """One stem in both languages; `gender` (0 or 1) is of the target noun."""

    source: str
    target: str
    gender: int = 0


@dataclass(frozen=True)
class Lexicon:
    """The content words of the language pair."""

    nouns: tuple[Entry, ...]
    verbs: tuple[Entry, ...]
    adjectives: tuple[Entry, ...]
    adverbs: tuple[Entry, ...]


@dataclass(frozen=True)
class NounPhrase:
    noun: Entry
    plural: bool
    adjective: Entry | None

    def source(self) -> str:
        adjective = f"{self.adjective.source} " if self.adjective else ""
        return f"{'tep' if self.plural else 'ta'} {adjective}{self.noun.source}{'ni' if self.plural else ''}"

    def target(self, case: str) -> str:
        noun = self.noun.target + ("ur" if self.plural else "") + case
        return f"{noun} {self.adjective.target}{'o' if self.noun.gender else 'e'}" if self.adjective else noun


@dataclass(frozen=True)
class Clause:
    subject: NounPhrase
    verb: Entry
    object: NounPhrase | None
    adverb: Entry | None

    def source(self) -> str:
        words = [self.subject.source(), self.verb.source + ("sa" if self.subject.plural else "")]
        words += [self.object.source()] if self.object else []
        words += [self.adverb.source] if self.adverb else []
        return " ".join(words)

    def target(self) -> str:
        words = [self.adverb.target] if self.adverb else []
        words.append(self.subject.target(case=""))
        words += [self.object.target(case="im")] if self.object else []
        agreement = ("o" if self.subject.noun.gender else "e") + ("sh" if self.subject.plural else "")
        return " ".join([*words, self.verb.target + agreement])


_SOURCE_SYLLABLES = tuple(consonant + vowel for consonant in "ptkmnslr" for vowel in "aiu")
_TARGET_SYLLABLES = tuple(consonant + vowel + end for consonant in "bdgvzhj" for vowel in "aeo" for end in "nlk")


def lexicon(draws: Draws, size: int) -> Lexicon:
    """`size` stems: half nouns, a quarter verbs, the rest adjectives and, of those, a fifth adverbs."""
    used: set[str] = set()

    def stem(syllables: tuple[str, ...], ending: str) -> str:
        while True:
            word = "".join(syllables[draws.below(len(syllables))] for _ in range(draws.between(1, 3))) + ending
            if word not in used:
                used.add(word)
                return word

    def entries(count: int, ending: str) -> tuple[Entry, ...]:
        # The source ending is the word class: no inflected form of one class is a word of another.
        return tuple(
            Entry(stem(_SOURCE_SYLLABLES, ending), stem(_TARGET_SYLLABLES, ""), draws.below(2)) for _ in range(count)
        )

    verbs, adverbs = size // 4, max(1, size // 20)
    adjectives = size // 4 - adverbs
    return Lexicon(
        entries(size - verbs - adjectives - adverbs, "k"),
        entries(verbs, "f"),
        entries(adjectives, "x"),
        entries(adverbs, "y"),
    )


def noun_phrase(draws: Draws, words: Lexicon) -> NounPhrase:
    adjective = words.adjectives[draws.below(len(words.adjectives))] if draws.below(2) else None
    return NounPhrase(words.nouns[draws.below(len(words.nouns))], bool(draws.below(2)), adjective)


def clause(draws: Draws, words: Lexicon) -> Clause:
    return Clause(
        noun_phrase(draws, words),
        words.verbs[draws.below(len(words.verbs))],
        noun_phrase(draws, words) if draws.below(4) else None,
        words.adverbs[draws.below(len(words.adverbs))] if draws.below(2) else None,
    )


def sentence(draws: Draws, words: Lexicon, shortest: int, longest: int) -> tuple[str, str]:
    """A source sentence of `shortest` to `longest` clauses and its translation."""
    clauses = [clause(draws, words) for _ in range(draws.between(shortest, longest))]
    return " e ".join(part.source() for part in clauses), ", ".join(part.target() for part in clauses)


class GeneratedCorpus(Corpus):
    """Distinct sentences of one grammar; no sentence of one split stands in another."""

    options: GeneratedOptions

    @property
    def _recipe(self) -> prepared.Recipe:
        return prepared.Recipe("generated", {"version": VERSION, **self.options.model_dump(mode="json")})

    def find(self, home: DataHome) -> PreparedCorpus | None:
        return prepared.find(home, self._recipe)

    def prepare(self, home: DataHome, progress: Progress = silent) -> PreparedCorpus:
        return prepared.prepare(home, self._recipe, lambda: self._build(home, progress))

    def _build(self, home: DataHome, progress: Progress) -> prepared.StoredCorpus:
        splits = generate(self.options, progress)
        facts = {"source": "generated", "dropped": {}}
        return prepared.store(home, self._recipe, splits, languages=(SOURCE, TARGET), licence="CC0-1.0", facts=facts)


def generate(options: GeneratedOptions, progress: Progress = silent) -> dict[Split, list[Pair]]:
    """The splits of the corpus. Raises InputError where the language has too few distinct sentences."""
    draws = Draws(options.seed)
    words = lexicon(draws, options.vocabulary)
    wanted = {"test": options.test_pairs, "dev": options.dev_pairs, "train": options.pairs}
    total = sum(wanted.values())
    seen: set[str] = set()
    made: list[tuple[str, str]] = []
    misses = 0
    while len(made) < total:
        source, target = sentence(draws, words, options.min_clauses, options.max_clauses)
        keys = {f"s{comparison_key(source)}", f"t{comparison_key(target)}"}
        if keys & seen:
            misses += 1
            if misses > _PATIENCE:
                raise InputError(
                    f"{total} distinct sentences are asked for, but vocabulary {options.vocabulary} with "
                    f"{options.max_clauses} clauses gives about {len(made)}: raise vocabulary or max_clauses"
                )
            continue
        misses = 0
        seen |= keys
        made.append((source, target))
        if len(made) % 5000 == 0:
            progress("generate", len(made), total)
    splits: dict[Split, list[Pair]] = {}
    start = 0
    for split, count in wanted.items():
        part = made[start : start + count]
        splits[cast(Split, split)] = [
            Pair({SOURCE: source, TARGET: target}, order=order) for order, (source, target) in enumerate(part)
        ]
        start += count
    progress("generate", total, total)
    return splits
