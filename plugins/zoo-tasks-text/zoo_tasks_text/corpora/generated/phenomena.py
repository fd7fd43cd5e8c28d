"""What is known for sure of a sentence's translation: the words to look for, and what is wrong in their place."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from zoo.tasks import Check
from zoo_tasks_text.corpora.generated.documents import Placed, Sentence
from zoo_tasks_text.corpora.generated.grammar import Clause, Phrase, Realisation
from zoo_tasks_text.corpora.generated.lexicon import Entry


@dataclass(frozen=True, slots=True)
class Answer:
    """The translation of a sentence, and all that is known of it."""

    target: str
    checks: tuple[Check, ...]
    contrasts: tuple[str, ...]


def translation(sentence: Sentence, realisation: Realisation) -> str:
    """The one right translation."""
    return _ordered(sentence, realisation, realisation.forms(sentence.clauses, sentence.honorific))


def answer(sentence: Sentence, realisation: Realisation, *, registers: bool, rare: Collection[str]) -> Answer:
    """Checks of every phenomenon; a contrast for each word that has two answers, with the other one.

    `registers`: whether the domain decides on verbs and pronouns. `rare` holds source stems.
    """
    forms = realisation.forms(sentence.clauses, sentence.honorific)
    checks: list[Check] = []
    contrasts: list[str] = []
    for found in sentence.placed:
        kind, unit = found.phrase.kind, sentence.unit(found)
        if kind == "entity":
            checks.append(Check(kind, forms[unit]))
        elif kind in {"homograph", "pronoun"} or (kind == "term" and not found.phrase.definition):
            other = _otherwise(sentence, realisation, found)
            checks.append(Check(kind, forms[unit], (other[unit],), found.distance))
            contrasts.append(_ordered(sentence, realisation, other))
    if registers:
        other = realisation.forms(sentence.clauses, not sentence.honorific)
        verbs = [number for number, unit in enumerate(sentence.said.units) if unit[0] == "verb"]
        checks += [Check("register", forms[unit], (other[unit],)) for unit in verbs]
        contrasts.append(_ordered(sentence, realisation, other))
    if rare:
        stems = zip(stems_of(sentence.clauses), forms, strict=True)
        checks += [Check("rare-word", form) for entry, form in stems if entry is not None and entry.source in rare]
    return Answer(_ordered(sentence, realisation, forms), tuple(checks), tuple(contrasts))


def stems_of(clauses: Sequence[Clause]) -> Iterator[Entry | None]:
    """Of each unit its stem in the lexicon; None where that alone does not give the translation."""
    for number, clause in enumerate(clauses):
        if number:
            yield None
        yield from _stems_of_phrase(clause.subject)
        yield clause.verb
        if clause.object:
            yield from _stems_of_phrase(clause.object)
        if clause.adverb:
            yield clause.adverb


def _stems_of_phrase(phrase: Phrase) -> Iterator[Entry | None]:
    if phrase.adjective:
        yield phrase.adjective
    yield phrase.noun if phrase.kind in {"noun", "topic"} else None


def _otherwise(sentence: Sentence, realisation: Realisation, found: Placed) -> list[str]:
    """The forms if what decides the phrase said the opposite, agreement included."""
    phrase = found.phrase
    reading, gender = phrase.reading, phrase.gender
    if phrase.kind == "pronoun":
        phrase.gender = 1 - gender
    else:
        phrase.reading = 1 - reading
    forms = realisation.forms(sentence.clauses, sentence.honorific)
    phrase.reading, phrase.gender = reading, gender
    return forms


def _ordered(sentence: Sentence, realisation: Realisation, forms: Sequence[str]) -> str:
    return " ".join([forms[unit] for unit in realisation.order(sentence.said.units)])
