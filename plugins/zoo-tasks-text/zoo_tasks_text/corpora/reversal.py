"""Random sequences and their reverses: what a model can do only if it knows where each token stands."""

from __future__ import annotations

from collections.abc import Iterator

from zoo.errors import InputError
from zoo.tasks import Corpus, DataHome, Pair, PreparedCorpus, Split
from zoo.tasks.contracts import SPLITS, Progress, silent
from zoo_tasks_text.corpora import prepared
from zoo_tasks_text.corpora.generated.draws import Draws
from zoo_tasks_text.corpora.options import ReversalOptions

VERSION = 1
"""Raise it with any change that gives other pairs."""
SOURCE, TARGET = "qac", "qad"
"""Codes that ISO 639-2 leaves to private use."""
_CONSONANTS, _VOWELS = "bdfgklmnprstvz", "aeiou"
SYMBOLS = tuple(consonant + vowel for vowel in _VOWELS for consonant in _CONSONANTS)
"""The words: syllables, so that each is one word of any language's tokenizer."""
_PATIENCE = 2000
"""Draws in a row that bring no new sequence before there are counted to be no more."""
_ORDER: tuple[Split, ...] = ("test", "dev", "train")


class Reversal(Corpus):
    """Sequences of `symbols` words, each drawn by itself with equal chance; the target has them last one first.

    No two pairs have the same sequence, nor one the other's reverse, in whatever split they stand. The same options
    give the same bytes on every platform.
    """

    options: ReversalOptions

    @property
    def _recipe(self) -> prepared.Recipe:
        return prepared.Recipe("reversal", {"version": VERSION, **self.options.model_dump(mode="json")})

    def find(self, home: DataHome) -> PreparedCorpus | None:
        return prepared.find(home, self._recipe)

    def prepare(self, home: DataHome, progress: Progress = silent) -> PreparedCorpus:
        return prepared.prepare(home, self._recipe, lambda: self._build(home, progress))

    def _build(self, home: DataHome, progress: Progress) -> prepared.StoredCorpus:
        facts = {"source": "generated", "dropped": {}}
        splits = reversed_sequences(self.options, progress)
        return prepared.store(home, self._recipe, splits, languages=(SOURCE, TARGET), licence="CC0-1.0", facts=facts)


def reversed_sequences(options: ReversalOptions, progress: Progress = silent) -> dict[Split, list[Pair]]:
    """The pairs of each split. Raises InputError where there are not so many sequences."""
    sizes: dict[Split, int] = {"train": options.pairs, "dev": options.dev_pairs, "test": options.test_pairs}
    total = sum(sizes.values())
    found: dict[Split, list[Pair]] = {}
    sequences = _distinct(options, total)
    done = 0
    for split in _ORDER:
        pairs = []
        for _ in range(sizes[split]):
            words = [SYMBOLS[symbol] for symbol in next(sequences)]
            pairs.append(Pair({SOURCE: " ".join(words), TARGET: " ".join(reversed(words))}, order=done))
            done += 1
            if done % 5000 == 0 or done == total:
                progress("generate", done, total)
        found[split] = pairs
    return {split: found[split] for split in SPLITS}


def _distinct(options: ReversalOptions, total: int) -> Iterator[tuple[int, ...]]:
    draws = Draws(options.seed)
    taken: set[tuple[int, ...]] = set()
    failures = 0
    while True:
        length = draws.between(options.min_length, options.max_length)
        sequence = tuple(draws.below(options.symbols) for _ in range(length))
        if sequence in taken:
            failures += 1
            if failures > _PATIENCE:
                raise InputError(
                    f"{total} sequences are asked for, but {options.symbols} symbols with at most {options.max_length} "
                    f"of them give about {len(taken) // 2}: raise symbols or max_length"
                )
            continue
        failures = 0
        taken |= {sequence, sequence[::-1]}
        yield sequence
