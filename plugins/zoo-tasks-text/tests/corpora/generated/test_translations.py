"""Every generated target against a translator that knows the lexicon and the grammar's README, and nothing else."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from fractions import Fraction

import pytest
from zoo_tasks_text.corpora.generated import SOURCE, TARGET, generate
from zoo_tasks_text.corpora.generated.documents import Language
from zoo_tasks_text.corpora.generated.lexicon import Lexicon
from zoo_tasks_text.corpora.generated.options import GeneratedOptions
from zoo_tasks_text.metrics.phenomenon_accuracy import right_checks

NAMES = dict(zip("ptkmnslraiuPTKMNSLR", "bdgvzhjwaeoBDGVZHJW", strict=True))


@dataclass
class Word:
    """A translated word: its stem or form, and what its endings depend on."""

    kind: str
    text: str
    clause: int
    gender: int = 0
    plural: bool = False
    place: str = "subject"


class Translator:
    """Reads a document sentence by sentence."""

    def __init__(self, words: Lexicon, options: GeneratedOptions, domain: str | None) -> None:
        self.options, self.honorific = options, domain == "honorific"
        self.one = {e.source: e for e in (*words.nouns, *words.verbs, *words.adjectives, *words.adverbs)}
        self.homographs = {e.source: e for e in words.homographs}
        self.terms = {e.source: e for e in words.terms}
        self.cues = {word: reading for reading in (0, 1) for word in words.cues[reading]}
        self.definitions = {word: reading for reading in (0, 1) for word in words.definitions[reading]}
        self.term_reading: int | None = None
        self.topic_gender: int | None = None

    def sentence(self, text: str) -> str:
        tokens = text.split()
        readings = [self.cues[token] for token in tokens if token in self.cues]
        found: list[Word] = []
        clause, place, plural, marked, topic = 0, "subject", False, False, None
        for token in (token for token in tokens if token not in self.cues):
            if token == "e":
                clause, place = clause + 1, "subject"
                found.append(Word("and", "ve", clause))
            elif token == "wo":
                marked = True
            elif token in self.definitions:
                self.term_reading = self.definitions[token]
            elif token in {"ta", "tep"}:
                plural = token == "tep"
            elif token == "wa":
                assert self.topic_gender is not None
                found.append(Word("pronoun", "", clause, self.topic_gender, False, place))
            elif token[0].isupper():
                copied = self.options.entity_form == "copy"
                name = token if copied else "".join(NAMES[letter] for letter in token)
                found.append(Word("name", name, clause, 0, False, place))
            else:
                stem = token.removesuffix("ni").removesuffix("sa")
                kind = {"k": "noun", "f": "verb", "x": "adjective", "y": "adverb"}[stem[-1]]
                if stem in self.homographs:
                    (reading,) = readings
                    entry = self.homographs[stem]
                    text = (entry.target, entry.other)[reading]
                elif stem in self.terms:
                    assert self.term_reading is not None
                    entry = self.terms[stem]
                    text = (entry.target, entry.other)[self.term_reading]
                else:
                    entry = self.one[stem]
                    text = entry.target
                found.append(Word(kind, text, clause, entry.gender, plural, place))
                if kind == "verb":
                    place = "object"
                if kind == "noun" and marked:
                    marked, topic = False, entry.gender
                if kind in {"noun", "verb"}:
                    plural = False
        self.topic_gender = self.topic_gender if topic is None else topic
        return " ".join(self.ordered(found, [self.form(word, found) for word in found]))

    def form(self, word: Word, sentence: list[Word]) -> str:
        morphology = self.options.morphology
        if word.kind == "pronoun":
            return ("em", "om")[word.gender] + ("sa" if self.honorific else "")
        heads = {
            other.place: other
            for other in sentence
            if other.clause == word.clause and other.kind in {"noun", "name", "pronoun"}
        }
        number_and_case = ""
        if word.kind in {"noun", "adjective"}:
            case = "im" if word.place == "object" else "as" if morphology == "agglutinative" else ""
            number_and_case = ("ur" if heads[word.place].plural else "") + case

        def agreement(other: Word) -> str:
            return "eo"[other.gender] + ("sh" if other.plural else "")

        ending = ""
        if morphology != "none":
            if word.kind == "noun":
                ending = number_and_case
            elif word.kind == "adjective":
                ending = "eo"[heads[word.place].gender] + (number_and_case if morphology == "agglutinative" else "")
            elif word.kind == "verb":
                if morphology == "agglutinative" and "object" in heads:
                    ending = "ut" + agreement(heads["object"])
                ending += agreement(heads["subject"])
        return word.text + ending + ("mas" if word.kind == "verb" and self.honorific else "")

    def ordered(self, words: list[Word], forms: list[str]) -> list[str]:
        if self.options.word_order == "sov":

            def rank(number: int) -> tuple[int, int]:
                word = words[number]
                classes = {"and": 0, "adverb": 1, "verb": 6}
                if word.kind in classes:
                    return word.clause, classes[word.kind]
                return word.clause, (2 if word.place == "subject" else 4) + (word.kind == "adjective")

            return [forms[number] for number in sorted(range(len(words)), key=rank)]
        order: list[str] = []
        turned = 0
        for number, form in enumerate(forms):
            wanted = int(Fraction(str(self.options.word_order)) * number * (number + 1) / 2 + Fraction(1, 2))
            order.insert(number - (wanted - turned), form)
            turned = wanted
        return order


ALL = {
    "homographs": 6,
    "entities": 0.4,
    "registers": "domain",
    "document_sentences": 6,
    "pronouns": 0.7,
    "context_distance": (1, 3),
    "terms": 5,
    "zipf": 1.0,
}
SETTINGS = {
    "defaults": {},
    "homographs": {"homographs": 9, "homograph_distance": (0, 25), "max_clauses": 1},
    "sparse": {"vocabulary": 2000, "zipf": 1.2, "pairs": 900},
    "everything": ALL,
    "everything agglutinative": {**ALL, "morphology": "agglutinative", "word_order": 1.0},
    "everything bare": {**ALL, "morphology": "none", "word_order": 0.35, "entity_form": "copy"},
    "source order": {**ALL, "word_order": 0.0, "min_clauses": 2, "max_clauses": 3},
}


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("seed", [1, 2])
def test_every_target_is_the_reference_translators(name, seed):
    options = GeneratedOptions(**{"pairs": 300, "dev_pairs": 60, "test_pairs": 90, "seed": seed, **SETTINGS[name]})
    words = Language(options).lexicon
    phenomena: Counter[str] = Counter()
    for pairs in generate(options).values():
        translator = Translator(words, options, None)
        document: object = object()
        for pair in pairs:
            if pair.document is None or pair.document != document:
                document, translator = pair.document, Translator(words, options, pair.domain)
            assert translator.sentence(pair.texts[SOURCE]) == pair.texts[TARGET]
            checks = pair.checks.get(TARGET, ())
            assert right_checks(pair.texts[TARGET], pair.texts[TARGET], checks) == len(checks)
            phenomena.update(check.phenomenon for check in checks)
    expected = {
        phenomenon
        for phenomenon, option in (("homograph", "homographs"), ("entity", "entities"), ("pronoun", "pronouns"))
        if getattr(options, option)
    }
    expected |= {"term"} if options.terms else set()
    expected |= {"register"} if options.registers == "domain" else set()
    assert expected <= set(phenomena)
    if name == "sparse":
        assert phenomena["rare-word"] > 20


@pytest.mark.parametrize("name", ["everything", "everything agglutinative", "everything bare"])
def test_the_wrong_words_come_from_the_opposite_decision(name):
    """A contrast is what the translator says when told the opposite; it fails its own check and no other kind."""
    options = GeneratedOptions(**{"pairs": 10, "dev_pairs": 10, "test_pairs": 300, **SETTINGS[name], "rare_words": 0})
    seen: Counter[str] = Counter()
    for pair in generate(options)["test"]:
        reference, contrasts = pair.texts[TARGET], pair.contrasts[TARGET]
        two_answers = [check for check in pair.checks[TARGET] if check.phenomenon not in {"entity", "register"}]
        registers = [check for check in pair.checks[TARGET] if check.phenomenon == "register"]
        assert len(contrasts) == len(two_answers) + 1
        for number, contrast in enumerate(contrasts):
            assert contrast != reference
            assert len(contrast.split()) == len(reference.split())
            for other, check in enumerate(two_answers):
                # The register's contrast changes every pronoun and verb, but no noun.
                if other == number or (number < len(two_answers) or check.phenomenon != "pronoun"):
                    assert right_checks(contrast, reference, [check]) == (other != number)
            if number == len(two_answers):
                assert right_checks(contrast, reference, registers) == 0
        seen.update(check.phenomenon for check in two_answers)
    assert set(seen) == {"homograph", "pronoun", "term"}
