"""What stands in a prepared corpus: sizes, lengths, licences, samples, and how well its sides fit. It only reads."""

from __future__ import annotations

import hashlib
import heapq
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from zoo.tasks import alignment
from zoo.tasks.contracts import SPLITS, Pair, PreparedCorpus, Split

LONG = 4
"""English words of a pair that counts as long: shorter ones are labels rather than sentences."""
_CANDIDATES = 3 * (alignment.TRAINED + alignment.SCORED)
"""Pairs that are kept for the alignment model, which needs long ones among them."""
INSTALL = "pip install 'zoo-registry[report]'"


def corpus_report(corpus: PreparedCorpus, *, samples: int = 20) -> dict[str, Any]:
    """JSON-ready. The same corpus gives the same report, up to the last digits of floating point.

    ``pairs``, ``long_pairs`` (None without English) and ``documents`` by split; ``domains`` and ``licences`` with
    their pairs by split, largest first; ``lengths`` by language and split; ``dropped`` as the corpus's facts have it;
    ``alignment`` (see `zoo.tasks.alignment`), for the first two languages; ``samples``, spread evenly over all pairs.
    """
    survey = _Survey(corpus, samples)
    first, second = corpus.languages[:2]
    return {
        "name": corpus.name,
        "revision": corpus.revision,
        "languages": list(corpus.languages),
        "licence": corpus.licence,
        "pairs": survey.pairs,
        "long_pairs": survey.long_pairs if "en" in corpus.languages else None,
        "documents": {split: len(names) for split, names in survey.documents.items()},
        "domains": _largest_first(survey.domains),
        "licences": _largest_first(survey.licences),
        "lengths": {language: survey.lengths(language) for language in corpus.languages},
        "dropped": dict(corpus.facts.get("dropped", {})),
        "facts": dict(corpus.facts),
        "alignment": {
            "languages": [first, second],
            "lengths": survey.length_outliers(first, second),
            "numbers": survey.number_agreement(),
            "ibm1": _ibm1(survey.candidates(), (first, second)),
        },
        "samples": [_shown(split, pair) for split, pair in survey.samples],
    }


class _Survey:
    """One walk over all pairs."""

    def __init__(self, corpus: PreparedCorpus, samples: int) -> None:
        self.pairs = {split: len(corpus.pairs(split)) for split in SPLITS}
        self.long_pairs = dict.fromkeys(SPLITS, 0)
        self.documents: dict[Split, set[str]] = {split: set() for split in SPLITS}
        self.domains: Counter[tuple[str, Split]] = Counter()
        self.licences: Counter[tuple[str, Split]] = Counter()
        self.samples: list[tuple[Split, Pair]] = []
        self._characters = {(language, split): array("L") for language in corpus.languages for split in SPLITS}
        self._words = {(language, split): array("L") for language in corpus.languages for split in SPLITS}
        self._wide = {language: Counter[bool]() for language in corpus.languages}
        self._agreement: Counter[bool | None] = Counter()
        self._languages = corpus.languages[:2]
        self._licence = corpus.licence
        wanted = _spread(samples, sum(self.pairs.values()))
        # The pairs whose hashes are smallest, each with its hash: a draw that nothing but the content decides.
        self._drawn = heapq.nsmallest(_CANDIDATES, self._walk(corpus, wanted), key=lambda item: item[0])

    def _walk(self, corpus: PreparedCorpus, wanted: set[int]) -> Iterator[tuple[bytes, alignment.Candidate]]:
        place = 0
        for split in SPLITS:
            for pair in corpus.pairs(split):
                if place in wanted:
                    self.samples.append((split, pair))
                place += 1
                yield self._count(split, pair)

    def _count(self, split: Split, pair: Pair) -> tuple[bytes, alignment.Candidate]:
        if pair.document is not None:
            self.documents[split].add(pair.document)
        self.domains[pair.domain or "-", split] += 1
        self.licences[pair.licence or self._licence, split] += 1
        for language, text in pair.texts.items():
            self._characters[language, split].append(len(text))
            self._words[language, split].append(len(text.split()))
            self._wide[language][alignment.wide(text)] += 1
        self.long_pairs[split] += len(pair.texts.get("en", "").split()) >= LONG
        first, second = (pair.texts[language] for language in self._languages)
        self._agreement[alignment.number_agreement(first, second)] += 1
        digest = hashlib.blake2b(f"{first}\0{second}".encode("utf-8", "surrogatepass"), digest_size=16).digest()
        return digest, alignment.Candidate(first, second, pair.domain or "")

    def candidates(self) -> list[alignment.Candidate]:
        """Pairs in an order that nothing but their content decides."""
        return [candidate for _, candidate in self._drawn]

    def lengths(self, language: str) -> dict[str, Any]:
        """By split: quartiles and maximum of characters, and of words where the language sets spaces between them."""
        spaced = self._wide[language][False] >= self._wide[language][True]
        return {
            split: {
                "characters": _quartiles(self._characters[language, split]),
                "words": _quartiles(self._words[language, split]) if spaced else None,
            }
            for split in SPLITS
        }

    def length_outliers(self, first: str, second: str) -> dict[str, float]:
        sides = [
            [length for split in SPLITS for length in self._characters[language, split]] for language in (first, second)
        ]
        return alignment.length_outliers(*sides)

    def number_agreement(self) -> dict[str, Any]:
        """Pairs with numbers on both sides, and the share of them whose numbers are the same."""
        both = self._agreement[True] + self._agreement[False]
        return {"pairs": both, "share": self._agreement[True] / both if both else None}


def _ibm1(candidates: Sequence[alignment.Candidate], languages: tuple[str, str]) -> dict[str, Any]:
    if not alignment.available():
        return {"missing": f"needs nltk: {INSTALL}"}
    found = alignment.separation(candidates)
    if found is None:
        return {"missing": "too few pairs of some length"}
    lowest = [{languages[0]: candidates[place].first, languages[1]: candidates[place].second} for place in found.lowest]
    return {**found.to_json(), "lowest": lowest}


def _spread(samples: int, total: int) -> set[int]:
    """`samples` places from the midst of equal parts of `total`."""
    count = min(samples, total)
    return {(2 * index + 1) * total // (2 * count) for index in range(count)}


def _quartiles(lengths: Sequence[int]) -> dict[str, float] | None:
    import numpy as np

    if not lengths:
        return None
    low, median, high, most = np.percentile(np.asarray(lengths), [25, 50, 75, 100])
    return {"lower_quartile": float(low), "median": float(median), "upper_quartile": float(high), "maximum": int(most)}


def _largest_first(counts: Counter[tuple[str, Split]]) -> dict[str, dict[str, int]]:
    totals: Counter[str] = Counter()
    for (name, _), count in counts.items():
        totals[name] += count
    ordered = sorted(totals, key=lambda name: (-totals[name], name))
    return {name: {split: counts[name, split] for split in SPLITS} for name in ordered}


def _shown(split: Split, pair: Pair) -> dict[str, Any]:
    return {
        "split": split,
        "document": pair.document,
        "order": pair.order,
        "domain": pair.domain,
        "licence": pair.licence,
        "texts": dict(pair.texts),
    }
