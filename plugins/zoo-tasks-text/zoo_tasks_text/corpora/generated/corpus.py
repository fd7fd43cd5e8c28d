"""The generated corpus: splits of distinct sentences, or of documents, and noise among the training targets."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import overload

from zoo.errors import InputError
from zoo.tasks import Corpus, DataHome, Pair, PreparedCorpus, Split
from zoo.tasks.contracts import Progress, silent
from zoo_tasks_text.corpora import prepared
from zoo_tasks_text.corpora.generated.documents import Language, Sentence
from zoo_tasks_text.corpora.generated.draws import Draws
from zoo_tasks_text.corpora.generated.grammar import SOURCE, TARGET
from zoo_tasks_text.corpora.generated.numbers import NumberSet
from zoo_tasks_text.corpora.generated.options import GeneratedOptions
from zoo_tasks_text.corpora.generated.phenomena import answer, stems_of, translation
from zoo_tasks_text.corpora.splits import comparison_key

VERSION = 2
"""Raise it with any change that gives other pairs."""
_PATIENCE = 2000
"""Draws in a row that bring no new sentence before the language counts as exhausted."""
_ORDER: tuple[Split, ...] = ("test", "dev", "train")
"""The order in which splits are drawn: what stands in an earlier one is left out of a later one."""


class GeneratedCorpus(Corpus):
    """Distinct sentences, or documents, of one grammar; no sentence of one split stands in another."""

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
        checks = {split: _phenomena(splits[split]) for split in ("dev", "test")}
        facts = {"source": "generated", "dropped": {}, "checks": checks}
        return prepared.store(home, self._recipe, splits, languages=(SOURCE, TARGET), licence="CC0-1.0", facts=facts)


class GeneratedPairs(Sequence[Pair]):
    """The pairs of one split. They are drawn anew whenever they are read: a million of them take no memory."""

    def __init__(
        self,
        language: Language,
        split: Split,
        attempts: Mapping[int, int],
        rare: frozenset[str] = frozenset(),
        noise: Mapping[int, int] | None = None,
    ) -> None:
        """`attempts`: which draw of a document was taken, where not the first; `noise`: whose target a pair has."""
        self._language, self._split, self._attempts = language, split, attempts
        self._rare, self._noise = rare, noise or {}
        self._size = sizes(language.options)[split]

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, index: int) -> Pair: ...
    @overload
    def __getitem__(self, index: slice) -> list[Pair]: ...
    def __getitem__(self, index: int | slice) -> Pair | list[Pair]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(self._size))]
        number = range(self._size)[index]  # raises IndexError, counts from the end
        return self._pair(number, self._sentence(number))

    def __iter__(self) -> Iterator[Pair]:
        length = self._language.options.document_sentences
        for start in range(0, self._size, length):
            sentences = self._document(start // length)[: self._size - start]
            yield from (self._pair(start + place, sentence) for place, sentence in enumerate(sentences))

    def _document(self, number: int) -> list[Sentence]:
        attempt = self._attempts.get(number, 0)
        return self._language.document(_seed(self._language.options, self._split, number, attempt))

    def _sentence(self, number: int) -> Sentence:
        document, place = divmod(number, self._language.options.document_sentences)
        return self._document(document)[place]

    def _pair(self, number: int, sentence: Sentence) -> Pair:
        options, realisation = self._language.options, self._language.realisation
        document, order, domain = None, number, None
        if options.document_sentences > 1:
            document, order = divmod(number, options.document_sentences)
        if options.registers == "domain":
            domain = "honorific" if sentence.honorific else "plain"
        name = None if document is None else f"{self._split}:{document}"
        if number in self._noise:
            # Nothing is known of a target that belongs to another source.
            target = translation(self._sentence(self._noise[number]), realisation)
            return Pair({SOURCE: sentence.source, TARGET: target}, name, order, domain)
        found = answer(sentence, realisation, registers=domain is not None, rare=self._rare)
        return Pair(
            {SOURCE: sentence.source, TARGET: found.target},
            name,
            order,
            domain,
            checks={TARGET: found.checks} if found.checks else {},
            contrasts={TARGET: found.contrasts} if found.contrasts else {},
        )


def sizes(options: GeneratedOptions) -> dict[Split, int]:
    """How many pairs each split has."""
    return {"train": options.pairs, "dev": options.dev_pairs, "test": options.test_pairs}


def generate(options: GeneratedOptions, progress: Progress = silent) -> dict[Split, Sequence[Pair]]:
    """The splits of the corpus. Raises InputError where the language has too few distinct sentences."""
    language = Language(options)
    taken = _Taken(language)
    attempts: dict[Split, dict[int, int]] = {}
    counts: Counter[str] = Counter()
    done, total = 0, sum(sizes(options).values())
    for split in _ORDER:
        attempts[split] = {}
        size, length = sizes(options)[split], options.document_sentences
        for number, start in enumerate(range(0, size, length)):
            wanted = min(length, size - start)
            for attempt in range(_PATIENCE + 1):
                sentences = language.document(_seed(options, split, number, attempt))[:wanted]
                if taken.add(sentences, last=split == _ORDER[-1]):
                    break
            else:
                raise InputError(
                    f"{total} distinct sentences are asked for, but vocabulary {options.vocabulary} with "
                    f"{options.max_clauses} clauses gives about {done}: raise vocabulary or max_clauses"
                )
            if attempt:
                attempts[split][number] = attempt
            if split == "train" and options.rare_words:
                for sentence in sentences:
                    counts.update(entry.source for entry in stems_of(sentence.clauses) if entry is not None)
            if (done + wanted) // 5000 > done // 5000:
                progress("generate", done + wanted, total)
            done += wanted
        taken.close_split()
    progress("generate", total, total)
    rare = frozenset(stem for stem, count in counts.items() if count <= options.rare_words)
    noise = shuffled_targets(options)
    return {
        "train": GeneratedPairs(language, "train", attempts["train"], noise=noise),
        "dev": GeneratedPairs(language, "dev", attempts["dev"], rare),
        "test": GeneratedPairs(language, "test", attempts["test"], rare),
    }


def shuffled_targets(options: GeneratedOptions) -> dict[int, int]:
    """For the noisy training pairs, the pair whose target each has: they hand theirs round in one drawn circle."""
    draws = Draws(_seed(options, "train", 0, 0) + 1)
    noisy = int(options.noise * options.pairs + 0.5)
    places = array("q", range(options.pairs if noisy else 0))
    for done in range(noisy):
        other = draws.between(done, options.pairs - 1)
        places[done], places[other] = places[other], places[done]
    if noisy < 2:
        return {}
    return {places[index]: places[(index + 1) % noisy] for index in range(noisy)}


class _Taken:
    """The sides and names that are used up.

    Single sentences are distinct throughout. Documents may repeat a sentence of their own split, since a pronoun or a
    term asks for the same words with two translations; a sentence of one split never stands in another.
    A digest of eight bytes stands for each.
    """

    def __init__(self, language: Language) -> None:
        self._realisation = language.realisation
        self._documents = language.options.document_sentences > 1
        self._sides, self._names = NumberSet(), NumberSet()
        self._own_sides, self._own_names = NumberSet(), NumberSet()

    def add(self, sentences: Sequence[Sentence], *, last: bool) -> bool:
        """Take the sentences if all are free; `last`: no split comes after theirs that would have to know them."""
        names = {_number(name) for sentence in sentences for name in sentence.names}
        if not self._names.isdisjoint(names):
            return False
        # Without its cue: so the same pairs are taken whether or not it is shown.
        sides = {_side("s", sentence.bare) for sentence in sentences}
        sides |= {_side("t", translation(sentence, self._realisation)) for sentence in sentences}
        if not self._sides.isdisjoint(sides):
            return False
        if not last:
            self._own_names.update(names)
        if not self._documents:
            self._sides.update(sides)
        elif not last:
            self._own_sides.update(sides)
        return True

    def close_split(self) -> None:
        """What was taken so far is of another split from now on."""
        self._sides.update(self._own_sides)
        self._names.update(self._own_names)
        self._own_sides, self._own_names = NumberSet(), NumberSet()


def _side(language: str, text: str) -> int:
    return _number(language + comparison_key(text))


def _number(text: str) -> int:
    """Eight bytes instead of a text: two that differ are taken for one once in 10^7 corpora of a million pairs."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _seed(options: GeneratedOptions, split: Split, document: int, attempt: int) -> int:
    """One number for each draw of each document; above every seed of a lexicon."""
    return ((options.seed * 4 + 1 + _ORDER.index(split)) << 64) + (document << 20) + attempt


def _phenomena(pairs: Sequence[Pair]) -> dict[str, int]:
    """How many checks of each phenomenon there are."""
    found = Counter(check.phenomenon for pair in pairs for check in pair.checks.get(TARGET, ()))
    return dict(sorted(found.items()))
