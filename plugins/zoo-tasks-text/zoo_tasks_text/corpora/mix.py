"""Several corpora as one: weights, tags, and no training pair that stands in another part's dev or test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from zoo.errors import InputError
from zoo.tasks import Corpus, DataHome, Pair, PreparedCorpus, Split
from zoo.tasks.contracts import Progress, silent
from zoo_tasks_text.corpora import prepared
from zoo_tasks_text.corpora.options import MixOptions, MixPart
from zoo_tasks_text.corpora.splits import separated, split_of

VERSION = 1
"""Raise it with any change that gives other pairs from the same parts."""


class MixCorpus(Corpus):
    """The parts' pairs, part after part; training documents as often as their weight says."""

    options: MixOptions

    def find(self, home: DataHome) -> PreparedCorpus | None:
        parts = []
        for part in self.options.parts:
            found = part.corpus.create().find(home)
            if found is None:
                return None
            parts.append(found)
        return prepared.find(home, self._recipe(parts))

    def prepare(self, home: DataHome, progress: Progress = silent) -> PreparedCorpus:
        """Prepare the parts, then mix them. Raises InputError where a part lacks one of the languages."""
        return self._mixed(home, [part.corpus.create().prepare(home, progress) for part in self.options.parts])

    def refresh(self, home: DataHome, progress: Progress = silent) -> PreparedCorpus:
        """Ask the parts' sources again; the mix is another one where a part is."""
        return self._mixed(home, [part.corpus.create().refresh(home, progress) for part in self.options.parts])

    def _mixed(self, home: DataHome, parts: Sequence[PreparedCorpus]) -> PreparedCorpus:
        for part in parts:
            lacking = [language for language in self.options.languages if language not in part.languages]
            if lacking:
                raise InputError(
                    f"corpus {self.options.name}: part {part.name} has no '{lacking[0]}' "
                    f"(has {', '.join(part.languages)})"
                )
        recipe = self._recipe(parts)
        return prepared.prepare(home, recipe, lambda: self._build(home, recipe, parts))

    def _recipe(self, parts: Sequence[PreparedCorpus]) -> prepared.Recipe:
        mixed = [
            {"revision": corpus.revision, "name": corpus.name, "weight": part.weight, "tag": part.tag}
            for part, corpus in zip(self.options.parts, parts, strict=True)
        ]
        languages = list(self.options.languages)
        return prepared.Recipe(self.options.name, {"version": VERSION, "languages": languages, "parts": mixed})

    def _build(self, home: DataHome, recipe: prepared.Recipe, parts: Sequence[PreparedCorpus]) -> prepared.StoredCorpus:
        splits = [
            [pair for part, corpus in zip(self.options.parts, parts, strict=True)
             for pair in _renamed(corpus, part, split, self.options.languages)]
            for split in ("train", "dev", "test")
        ]  # fmt: skip
        result = separated(*splits)
        weights = {corpus.name: part.weight for part, corpus in zip(self.options.parts, parts, strict=True)}
        mixed: dict[Split, Sequence[Pair]] = {
            **result.splits,
            "train": list(_weighted(result.splits["train"], weights)),
        }
        licences = sorted({licence for corpus in parts for licence in corpus.licence.split(" and ")})
        facts: dict[str, Any] = {
            "source": "mix",
            "parts": {
                corpus.name: {"revision": corpus.revision, "weight": weights[corpus.name], "licence": corpus.licence}
                for corpus in parts
            },
            "dropped": result.dropped,
        }
        return prepared.store(
            home, recipe, mixed, languages=self.options.languages, licence=" and ".join(licences), facts=facts
        )


def _renamed(corpus: PreparedCorpus, part: MixPart, split: Split, languages: Sequence[str]) -> Iterator[Pair]:
    """The pairs of one part: documents named after it, the part's tag as domain, its licence on each."""
    for index, pair in enumerate(corpus.pairs(split)):
        # A pair of no document becomes one of its own: the part's name must not be lost, as weights go by it.
        document = pair.document if pair.document is not None else f"{split}:{index}"
        yield replace(
            pair,
            texts={language: pair.texts[language] for language in languages},
            document=f"{corpus.name}/{document}",
            domain=part.tag or pair.domain,
            licence=pair.licence or corpus.licence,
        )


def _weighted(pairs: Sequence[Pair], weights: dict[str, float]) -> Iterator[Pair]:
    """Whole documents: w = 2.5 gives each twice, and half of them, chosen by hash, a third time."""
    for repeat in range(max(1, *(-int(-weight // 1) for weight in weights.values()))):
        for pair in pairs:
            assert pair.document is not None
            weight = weights[pair.document.partition("/")[0]]
            if repeat + 1 <= weight or _drawn(pair.document, weight - repeat):
                yield pair if repeat == 0 else replace(pair, document=f"{pair.document}~{repeat + 1}")


def _drawn(document: str, share: float) -> bool:
    return split_of(document, dev=0.0, test=max(0.0, share), salt="mix") == "test"
