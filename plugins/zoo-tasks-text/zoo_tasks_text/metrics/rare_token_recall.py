"""Recall of the references' words, by how often a word stands in the training targets."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.errors import InputError, ZooError
from zoo.tasks import Example, Items, PreparedTask, SummedMetric
from zoo.tasks.contracts import Progress, silent
from zoo_tasks_text.metrics.bleu import sacrebleu_bleu
from zoo_tasks_text.metrics.corpus import Statistics, check_lengths
from zoo_tasks_text.metrics.options import RareTokenRecallOptions
from zoo_tasks_text.metrics.shares import clustered_interval, share_of, share_of_each

_REPORTED = 10_000
"""Training texts from one report of progress to the next."""


class RareTokenRecall(SummedMetric):
    """Share of the references' words of one band of training frequency that the outputs have.

    Words are split as BLEU does it and matched as its unigrams are: a word that the output has more often than the
    reference counts no further. The frequency of a word is how often it stands in the target side of the training
    split, in what training leaves out as too long as well. Band 0 holds the words that stand there not at all, band 1
    those of 1 to ``bands[0]``, and so on; the last holds the rest. All bands together are unigram recall.

    An item holds the matches of each band and then the reference's words of each band.
    """

    options: RareTokenRecallOptions
    direction = "higher"
    unit = "fraction"
    learns = True
    _counts: Mapping[str, int] | None = None
    _revision = "none"

    @property
    def name(self) -> str:
        """``token-recall-1-5``, ``token-recall-above-100``, ``token-recall-unseen``."""
        return f"token-recall-{self.options.labels[self.options.band]}"

    @property
    def signature(self) -> str:
        options = self.options
        case = "lc" if options.lowercase else "mixed"
        versions = f"sacrebleu:{metadata.version('sacrebleu')}|version:{metadata.version('zoo-tasks-text')}"
        return (
            f"{self.name}|bands:{','.join(options.labels)}|counts:{self._revision}|case:{case}|tok:{options.tokenize}|"
            f"interval:wilson-effective|{versions}"
        )

    def prepare(self) -> None:
        """Raise ZooError where the tokenizer needs a package that is not installed."""
        self._tokenizer()

    def learn(self, task: PreparedTask, progress: Progress = silent) -> None:
        """Count the words of the training targets; their revision is a hash of the counts."""
        counts: Counter[str] = Counter()
        words = self._tokenizer()
        for done, text in enumerate(task.tokenizer_texts("target"), start=1):
            counts.update(words(text))
            if done % _REPORTED == 0:
                progress("count words", done, 0)
        digest = hashlib.sha256()
        for word in sorted(counts):
            digest.update(f"{word} {counts[word]}\n".encode())
        self._counts, self._revision = counts, digest.hexdigest()[:16]

    def accept(self, examples: Sequence[Example]) -> None:
        """Raises InputError where no reference has a word of the band, with the words of each that there are."""
        totals = np.sum(self.example_items([example.target for example in examples], examples), axis=0)
        found = totals[len(self.options.labels) :]
        if found[self.options.band] == 0:
            there = ", ".join(f"{label} ({int(n)})" for label, n in zip(self.options.labels, found, strict=True) if n)
            raise InputError(
                f"metric {self.name}: no word of {len(examples)} references is of this band of training frequency; "
                f"their words by band: {there or 'none'}. Choose another 'band', or other 'bands'"
            )

    def items(self, outputs: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> Items:
        """Matches and words of each band. Raises ZooError before `learn`."""
        check_lengths(outputs, references, sources)
        if self._counts is None:
            raise ZooError(f"metric {self.name} needs the words of the training targets, which nobody has shown it")
        words = self._tokenizer()
        return [
            self._item(Counter(words(output)), Counter(words(reference)), self._counts)
            for output, reference in zip(outputs, references, strict=True)
        ]

    def of_sums(self, sums: Statistics) -> Statistics:
        """Where a resample holds no word of the band nothing is shown to be right: 0."""
        return share_of(self._of_band(sums))

    def segments(self, items: Items) -> NDArray[np.float64]:
        """NaN where an example has no word of the band."""
        return share_of_each(self._of_band(np.stack(items)))

    def interval(self, items: Items) -> tuple[float, float]:
        """Wilson's interval of the effective number of words: those of one example go wrong together."""
        return clustered_interval(self._of_band(np.stack(items)))

    def details(self, items: Items) -> Mapping[str, Any]:
        """Of every band its recall (none where no reference has such a word), and the references' words in it."""
        matches, words = np.split(np.sum(items, axis=0), 2)
        return {
            label: {"recall": float(matched / total) if total else None, "words": int(total)}
            for label, matched, total in zip(self.options.labels, matches, words, strict=True)
        }

    def _of_band(self, found: Statistics) -> Statistics:
        """Matches and words of the scored band, ``[N, 2]``, of the items of N examples ``[N, 2 K]``."""
        band, bands = self.options.band, len(self.options.labels)
        return found[:, [band, bands + band]]

    def _item(self, said: Counter[str], asked: Counter[str], counts: Mapping[str, int]) -> NDArray[np.float64]:
        edges, bands = [0, *self.options.bands], len(self.options.labels)
        item = np.zeros(2 * bands)
        for word, wanted in asked.items():
            band = bisect_left(edges, counts.get(word, 0))
            item[band] += min(wanted, said[word])
            item[bands + band] += wanted
        return item

    def _tokenizer(self) -> Any:
        """``words(text)``."""
        options = self.options
        split = sacrebleu_bleu(options.tokenize, lowercase=options.lowercase, asked_by=self.name).tokenizer

        def words(text: str) -> list[str]:
            told: str = split(text.lower() if options.lowercase else text)
            return told.split()

        return words
