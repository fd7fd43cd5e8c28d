"""Several corpora as one: weights, tags, and no training pair that stands in another part's dev or test.

Test splits stay as they are. Of dev, single sentences that stand in another part's test are left out: the splits of a
mix share no text, so one of the two must go. Their places in the documents' orders stay empty, so that contexts do not
reach over them. Otherwise dev stays as it is, too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from zoo.errors import InputError
from zoo.tasks import Corpus, DataHome, Pair, PreparedCorpus, Split
from zoo.tasks.contracts import SPLITS, Progress, silent
from zoo_tasks_text.corpora import prepared
from zoo_tasks_text.corpora.options import MixOptions, MixPart
from zoo_tasks_text.corpora.splits import split_of

if TYPE_CHECKING:
    # Its numpy takes longer to import than `zoo data list` to answer.
    from zoo_tasks_text.corpora.separation import Separation, Source

VERSION = 2
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
        from zoo_tasks_text.corpora.separation import separate

        chosen = list(zip(self.options.parts, parts, strict=True))
        sources: dict[Split, Source] = {
            split: lambda split=split: (  # type: ignore[misc]
                pair for part, corpus in chosen for pair in _renamed(corpus, part, split, self.options.languages)
            )
            for split in SPLITS
        }
        result = separate(
            sources,
            self.options.languages,
            dev=0.0,
            test=0.0,
            salt=self.options.name,
            whole=frozenset({"test"}),
            repeating=frozenset({"dev"}),
        )
        weights = {corpus.name: part.weight for part, corpus in chosen}
        licences = sorted({licence for corpus in parts for licence in corpus.licence.split(" and ")})
        facts: dict[str, Any] = {
            "source": "mix",
            "parts": {
                corpus.name: {"revision": corpus.revision, "weight": weights[corpus.name], "licence": corpus.licence}
                for corpus in parts
            },
            "dropped": result.dropped,
            "kept": result.kept,
        }
        return prepared.store_stream(
            home,
            recipe,
            _weighted(result, weights),
            languages=self.options.languages,
            licence=" and ".join(licences),
            facts=facts,
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


def _weighted(result: Separation, weights: dict[str, float]) -> Iterator[tuple[Split, Pair]]:
    """Whole training documents: w = 2.5 gives each twice, and half of them, chosen by hash, a third time."""
    for repeat in range(max(1, *(math.ceil(weight) for weight in weights.values()))):
        for split, pair in result.stream():
            assert pair.document is not None
            weight = weights[pair.document.partition("/")[0]]
            if split != "train":
                if repeat == 0:
                    yield split, pair
            elif repeat + 1 <= weight or _drawn(pair.document, weight - repeat):
                yield split, pair if repeat == 0 else replace(pair, document=f"{pair.document}~{repeat + 1}")


def _drawn(document: str, share: float) -> bool:
    return split_of(document, dev=0.0, test=max(0.0, share), salt="mix") == "test"
