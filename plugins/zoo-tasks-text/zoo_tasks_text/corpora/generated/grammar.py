"""The two grammars: what a sentence is, and how each language says it. `README.md` states the rules in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import floor

from zoo_tasks_text.corpora.generated.lexicon import Entry
from zoo_tasks_text.corpora.generated.options import Morphology, WordOrder

SOURCE, TARGET = "qaa", "qab"
"""Codes that ISO 639-2 keeps for local use."""
_GENDERS = "eo"
_PRONOUNS = (("em", "om"), ("emsa", "omsa"))
"""By register (plain, honorific) and gender."""
_TOPIC = "wo"


@dataclass(slots=True)
class Phrase:
    """A noun with its determiner and adjective, a name or a pronoun."""

    noun: Entry
    plural: bool = False
    adjective: Entry | None = None
    reading: int = 0
    """Which of its noun's two translations is meant."""
    gender: int = 0
    """Of a pronoun, that of the noun it stands for; else its noun's own."""
    kind: str = "noun"
    """``noun``, ``entity``, ``pronoun``, ``homograph``, ``term``; ``topic``, a noun that a pronoun will take up."""
    definition: str = ""
    """Before a term: the source word that decides on its translation."""


@dataclass(slots=True)
class Clause:
    subject: Phrase
    verb: Entry
    object: Phrase | None
    adverb: Entry | None


@dataclass(slots=True)
class Said:
    """A sentence in the source language, and where its parts are. Unit i is the i-th source word with a translation."""

    words: list[str] = field(default_factory=list)
    units: list[tuple[str, int, int]] = field(default_factory=list)
    """Of each unit: its part (``subject``, ``subject-adjective``, ``verb`` ...), its clause, its place in `words`."""


def said(clauses: Sequence[Clause], morphology: Morphology) -> Said:
    """The source: adverb last, determiner - adjective - noun, subject - verb - object, clauses joined by ``e``."""
    sentence = Said()
    words, units = sentence.words, sentence.units
    numbered = morphology != "none"

    def phrase(found: Phrase, part: str, number: int) -> None:
        if found.kind in {"entity", "pronoun"}:
            units.append((part, number, len(words)))
            words.append(found.noun.source)
            return
        if found.kind == "topic":
            words.append(_TOPIC)
        if found.definition:
            words.append(found.definition)
        if numbered:
            words.append("tep" if found.plural else "ta")
        if found.adjective:
            units.append((f"{part}-adjective", number, len(words)))
            words.append(found.adjective.source)
        units.append((part, number, len(words)))
        words.append(found.noun.source + ("ni" if found.plural and numbered else ""))

    for number, clause in enumerate(clauses):
        if number:
            units.append(("and", number, len(words)))
            words.append("e")
        phrase(clause.subject, "subject", number)
        units.append(("verb", number, len(words)))
        words.append(clause.verb.source + ("sa" if clause.subject.plural and numbered else ""))
        if clause.object:
            phrase(clause.object, "object", number)
        if clause.adverb:
            units.append(("adverb", number, len(words)))
            words.append(clause.adverb.source)
    return sentence


class Realisation:
    """The target language: the forms of words and their order."""

    def __init__(self, morphology: Morphology, word_order: WordOrder) -> None:
        self._morphology = morphology
        self._word_order = word_order
        self._orders: dict[int, list[int]] = {}

    def forms(self, clauses: Sequence[Clause], honorific: bool) -> list[str]:
        """The target word of each unit, in the source's order."""
        words = []
        for number, clause in enumerate(clauses):
            if number:
                words.append("ve")
            words += self._phrase(clause.subject, False, honorific)
            words.append(self._verb(clause) + ("mas" if honorific else ""))
            if clause.object:
                words += self._phrase(clause.object, True, honorific)
            if clause.adverb:
                words.append(clause.adverb.target)
        return words

    def order(self, units: Sequence[tuple[str, int, int]]) -> list[int]:
        """The units as the target has them, one after the other."""
        if self._word_order == "sov":
            return sorted(range(len(units)), key=lambda unit: (units[unit][1], _SOV[units[unit][0]]))
        if len(units) not in self._orders:
            self._orders[len(units)] = turned(len(units), self._word_order)
        return self._orders[len(units)]

    def _phrase(self, found: Phrase, is_object: bool, honorific: bool) -> list[str]:
        if found.kind == "pronoun":
            return [_PRONOUNS[honorific][found.gender]]
        noun = found.noun.reading(found.reading)
        if found.kind == "entity":
            return [noun]  # names are not declined
        gender = _GENDERS[found.noun.gender]
        adjective = found.adjective.target if found.adjective else ""
        if self._morphology != "none":
            ending = "ur" if found.plural else ""
            if self._morphology == "agglutinative":
                ending += "im" if is_object else "as"
                adjective += gender + ending
            else:
                ending += "im" if is_object else ""
                adjective += gender
            noun += ending
        return [adjective, noun] if found.adjective else [noun]

    def _verb(self, clause: Clause) -> str:
        word = clause.verb.target
        if self._morphology == "none":
            return word
        if self._morphology == "agglutinative" and clause.object:
            word += "ut" + _agreement(clause.object)
        return word + _agreement(clause.subject)


_SOV = {
    "and": 0,
    "adverb": 1,
    "subject": 2,
    "subject-adjective": 3,
    "object": 4,
    "object-adjective": 5,
    "verb": 6,
}


def _agreement(found: Phrase) -> str:
    gender = found.gender if found.kind == "pronoun" else found.noun.gender
    return _GENDERS[gender] + ("sh" if found.plural else "")


def turned(size: int, distance: float) -> list[int]:
    """A permutation of `size` words whose Kendall tau distance from their order is `distance` of the greatest.

    Word i is put before the last c of the i words so far, with c = r(i + 1) - r(i), where r(n) is the number of
    turned pairs that n words should have, distance * n * (n - 1) / 2, rounded half up. So n words have r(n) turned
    pairs exactly, and where a word goes does not depend on what follows it.
    """
    share = Fraction(str(distance))  # as it was written: 0.7 * 45 is 31.5, but less among floats
    order: list[int] = []
    for word in range(size):
        before, after = (floor(share * (words * (words - 1) // 2) + Fraction(1, 2)) for words in (word, word + 1))
        order.insert(word - (after - before), word)
    return order
