"""How sentences and documents are drawn: what each one holds, and what reaches from one to the next."""

from __future__ import annotations

from dataclasses import dataclass, field

from zoo_tasks_text.corpora.generated.draws import Draws, Ranks
from zoo_tasks_text.corpora.generated.grammar import Clause, Phrase, Realisation, Said, said
from zoo_tasks_text.corpora.generated.lexicon import Entry, lexicon, name, transliterated
from zoo_tasks_text.corpora.generated.options import GeneratedOptions

_PRONOUN = Entry("wa", "")


@dataclass(slots=True)
class Placed:
    """A phrase that holds a phenomenon, where it stands, and how far what decides it is."""

    phrase: Phrase
    clause: int
    part: str
    """``subject`` or ``object``."""
    distance: int | None = None
    """Source words between the phrase's noun and what decides it."""


@dataclass(slots=True)
class Sentence:
    """A sentence as drawn, said in the source language."""

    clauses: list[Clause]
    said: Said
    bare: str
    """The source without the cue of a homograph."""
    source: str
    honorific: bool
    placed: list[Placed]

    @property
    def names(self) -> list[str]:
        return [found.phrase.noun.source for found in self.placed if found.phrase.kind == "entity"]

    def unit(self, found: Placed) -> int:
        """The number of a placed phrase's noun among the units."""
        return next(i for i, unit in enumerate(self.said.units) if unit[0] == found.part and unit[1] == found.clause)


@dataclass(slots=True)
class _Reach:
    """Something in an earlier sentence that decides a later word."""

    words: int = 0
    """Source words after it so far."""
    gender: int = 0
    due: int = 0
    """Of a topic: the sentence that takes it up."""


@dataclass(slots=True)
class _Document:
    """What the sentences of a document share."""

    honorific: bool = False
    term: Entry | None = None
    reading: int = 0
    definition: str = ""
    defined: _Reach = field(default_factory=_Reach)
    topic: _Reach | None = None
    """Waits for its pronoun."""
    opened: _Reach | None = None
    """The topic that the present sentence marks."""


class Language:
    """The language pair of some options: the same number gives the same document."""

    def __init__(self, options: GeneratedOptions) -> None:
        self.options = options
        self.lexicon = lexicon(Draws(options.seed), options)
        self.realisation = Realisation(options.morphology, options.word_order)
        self._draws = Draws(0)
        words = self.lexicon
        classes = (words.nouns, words.verbs, words.adjectives, words.adverbs, words.homographs, words.terms)
        self._ranks = {id(entries): Ranks(len(entries), options.zipf) for entries in classes}

    def document(self, number: int) -> list[Sentence]:
        """`document_sentences` sentences, drawn by `number`."""
        self._draws.restart(number)
        draws, options = self._draws, self.options
        document = _Document(honorific=options.registers == "domain" and draws.below(2) == 1)
        if options.terms:
            document.term, document.reading = self._word(self.lexicon.terms), draws.below(2)
            definitions = self.lexicon.definitions[document.reading]
            document.definition = definitions[draws.below(len(definitions))]
        return [self._sentence(place, document) for place in range(options.document_sentences)]

    def _sentence(self, place: int, document: _Document) -> Sentence:
        special = self._special(place, document)
        clauses, placed = self._clauses(special)
        sentence = said(clauses, self.options.morphology)
        bare = " ".join(sentence.words)
        found = Sentence(clauses, sentence, bare, bare, document.honorific, placed)
        homograph = next((one for one in placed if one.phrase.kind == "homograph"), None)
        if homograph is not None:
            self._add_cue(found, homograph)
        if document.term is not None or document.topic is not None or document.opened is not None:
            _measure(found, document)
        return found

    def _special(self, place: int, document: _Document) -> list[Phrase]:
        """The phrases that this sentence must hold, a pronoun first."""
        draws, options = self._draws, self.options
        special = []
        if document.topic is not None and document.topic.due == place:
            special.append(Phrase(_PRONOUN, gender=document.topic.gender, kind="pronoun"))
        waiting = document.topic is not None and document.topic.due > place
        if options.pronouns and not waiting and draws.chance(options.pronouns):
            due = place + draws.between(*options.context_distance)
            if due < options.document_sentences:
                phrase = self._noun_phrase(self.lexicon.nouns, "topic")
                phrase.plural = False  # so is the pronoun
                special.append(phrase)
                document.opened = _Reach(gender=phrase.noun.gender, due=due)
        if document.term is not None and (place == 0 or draws.chance(options.term_share)):
            phrase = self._noun_phrase((document.term,), "term")
            phrase.reading, phrase.definition = document.reading, "" if place else document.definition
            special.append(phrase)
        if options.homographs and draws.chance(options.homograph_share):
            phrase = self._noun_phrase(self.lexicon.homographs, "homograph")
            phrase.reading = draws.below(2)
            special.append(phrase)
        if options.entities and draws.chance(options.entities):
            word = name(draws)
            copied = options.entity_form == "copy"
            special.append(Phrase(Entry(word, word if copied else transliterated(word)), kind="entity"))
        return special

    def _clauses(self, special: list[Phrase]) -> tuple[list[Clause], list[Placed]]:
        """Clauses that hold the special phrases in places drawn for them."""
        draws, options = self._draws, self.options
        count = max(draws.between(options.min_clauses, options.max_clauses), (len(special) + 1) // 2)
        free = [(number, part) for number in range(count) for part in ("subject", "object")]
        placed = []
        for phrase in special:
            # A pronoun comes first, so that every subject is still free.
            place = (draws.below(count), "subject") if phrase.kind == "pronoun" else free[draws.below(len(free))]
            free.remove(place)
            placed.append(Placed(phrase, *place))
        clauses = [self._clause() for _ in range(count)]
        for one in placed:
            clause = clauses[one.clause]
            if one.part == "object":
                clause.object = one.phrase
            else:
                clause.subject = one.phrase
            if one.phrase.kind == "pronoun" and clause.object is None:
                # "wa <verb>" alone would be the same few sentences in every split.
                clause.object = self._noun_phrase(self.lexicon.nouns)
        return clauses, placed

    def _clause(self) -> Clause:
        draws, words = self._draws, self.lexicon
        return Clause(
            self._noun_phrase(words.nouns),
            self._word(words.verbs),
            self._noun_phrase(words.nouns) if draws.below(4) else None,
            self._word(words.adverbs) if draws.below(2) else None,
        )

    def _noun_phrase(self, nouns: tuple[Entry, ...], kind: str = "noun") -> Phrase:
        draws = self._draws
        adjective = self._word(self.lexicon.adjectives) if draws.below(2) else None
        noun = nouns[0] if len(nouns) == 1 else self._word(nouns)
        plural = self.options.morphology != "none" and draws.below(2) == 1
        return Phrase(noun, plural, adjective, kind=kind)

    def _word(self, entries: tuple[Entry, ...]) -> Entry:
        return entries[self._ranks[id(entries)].draw(self._draws)]

    def _add_cue(self, found: Sentence, homograph: Placed) -> None:
        """Put a cue as far before the homograph as drawn; clauses are added in front where there is no room."""
        draws, options = self._draws, self.options
        distance = draws.between(*options.homograph_distance)
        cues = self.lexicon.cues[homograph.phrase.reading]
        cue = cues[draws.below(len(cues))]
        place = found.said.units[found.unit(homograph)][2]
        while place < distance:
            found.clauses.insert(0, self._clause())
            for one in found.placed:
                one.clause += 1
            found.said = said(found.clauses, options.morphology)
            place = found.said.units[found.unit(homograph)][2]
        found.bare = found.source = " ".join(found.said.words)
        if options.homograph_cue == "absent":
            return
        homograph.distance, start = distance, place - distance
        found.said.words.insert(start, cue)
        found.said.units = [(part, clause, at + (at >= start)) for part, clause, at in found.said.units]
        found.source = " ".join(found.said.words)


def _measure(found: Sentence, document: _Document) -> None:
    """Note how far back the topic and the definition are, and pass on what the sentence adds."""
    words = found.said.words
    reaches = [reach for reach in (document.defined, document.topic) if reach is not None]
    for one in found.placed:
        at = found.said.units[found.unit(one)][2]
        if one.phrase.kind == "pronoun" and document.topic is not None:
            one.distance = document.topic.words + at
            document.topic = None
        elif one.phrase.kind == "term" and not one.phrase.definition:
            one.distance = document.defined.words + at
    for reach in reaches:
        reach.words += len(words)
    for one in found.placed:
        at = found.said.units[found.unit(one)][2]
        if one.phrase.kind == "topic" and document.opened is not None:
            document.opened.words = len(words) - 1 - at
            document.topic, document.opened = document.opened, None
        elif one.phrase.definition:
            document.defined.words = len(words) - 1 - words.index(one.phrase.definition)
