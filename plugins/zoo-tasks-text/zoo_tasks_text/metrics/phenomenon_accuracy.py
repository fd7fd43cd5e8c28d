"""Share of the words that something else decides, and that the output has right."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from importlib import metadata

import numpy as np
from numpy.typing import NDArray

from zoo.errors import InputError
from zoo.tasks import Check, Example, Items, SummedMetric
from zoo_tasks_text.metrics.corpus import Statistics, check_lengths
from zoo_tasks_text.metrics.options import PhenomenonAccuracyOptions
from zoo_tasks_text.metrics.shares import clustered_interval, share_of, share_of_each

_SPACELESS = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|\s")
"""Thai, Lao, Burmese, Khmer, kana and ideographs; and white space, which stands inside no word."""


class PhenomenonAccuracy(SummedMetric):
    """Checks of one phenomenon that the outputs pass, over all there are.

    A check is right where its expected word stands in the output at least as often as the example's checks of it, or
    its reference, have it (the greater of the two), and no word of its `wrong` ones stands there more often than in
    the reference. Words are what white space parts, without the punctuation around them; case counts, order does not.
    A word in a script without spaces, or with a space in it, is counted as a substring. All texts are brought to NFC.
    """

    options: PhenomenonAccuracyOptions
    direction = "higher"
    unit = "fraction"

    @property
    def name(self) -> str:
        """``homograph-accuracy``; with a band of distances ``homograph-accuracy-4-to-8``."""
        low, high = self.options.min_distance, self.options.max_distance
        band = "" if low is None else f"-from-{low}"
        if high is not None:
            band = f"-to-{high}" if low is None else f"-{low}-to-{high}"
        return f"{self.options.phenomenon}-accuracy{band}"

    @property
    def signature(self) -> str:
        version = f"unicode:{unicodedata.unidata_version}|version:{metadata.version('zoo-tasks-text')}"
        return f"{self.name}|case:mixed|norm:nfc|interval:wilson-effective|{version}"

    def items(self, outputs: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> Items:
        """Texts alone hold no checks: no right ones of none."""
        check_lengths(outputs, references, sources)
        return [np.zeros(2) for _ in outputs]

    def example_items(self, outputs: Sequence[str], examples: Sequence[Example]) -> Items:
        """Right checks, and checks."""
        texts = [example.target for example in examples]
        check_lengths(outputs, texts, [example.source for example in examples])
        found = []
        for output, example in zip(outputs, examples, strict=True):
            checks = [check for check in example.checks if self._is_asked_for(check)]
            found.append(np.array([right_checks(output, example.target, checks), len(checks)], dtype=np.float64))
        return found

    def accept(self, examples: Sequence[Example]) -> None:
        """Raises InputError where no example has such a check, naming those that there are."""
        if any(self._is_asked_for(check) for example in examples for check in example.checks):
            return
        counts = Counter(check.phenomenon for example in examples for check in example.checks)
        there = ", ".join(f"{phenomenon} ({count})" for phenomenon, count in sorted(counts.items()))
        band = " at such a distance" if counts[self.options.phenomenon] else ""
        raise InputError(
            f"metric {self.name}: none of {len(examples)} examples has a check of '{self.options.phenomenon}'{band}; "
            + (f"their checks are of {there}" if there else "they have no checks: this task's corpus gives none")
        )

    def of_sums(self, sums: Statistics) -> Statistics:
        return share_of(sums)

    def segments(self, items: Items) -> NDArray[np.float64]:
        return share_of_each(np.stack(items))

    def interval(self, items: Items) -> tuple[float, float]:
        """Wilson's interval of the effective number of checks: those of one example go wrong together."""
        return clustered_interval(np.stack(items))

    def _is_asked_for(self, check: Check) -> bool:
        options = self.options
        if check.phenomenon != options.phenomenon:
            return False
        if options.min_distance is None and options.max_distance is None:
            return True
        return check.distance is not None and (options.min_distance or 0) <= check.distance <= (
            math.inf if options.max_distance is None else options.max_distance
        )


def right_checks(output: str, reference: str, checks: Sequence[Check]) -> int:
    """How many of an example's checks its output passes."""
    said, asked = Words(output), Words(reference)
    demands = Counter((check.phenomenon, _composed(check.expected)) for check in checks)
    right = 0
    for check in checks:
        expected = _composed(check.expected)
        enough = said.count(expected) >= max(demands[check.phenomenon, expected], asked.count(expected))
        right += enough and all(said.count(word) <= asked.count(word) for word in map(_composed, check.wrong))
    return right


class Words:
    """The words of a text, to be counted."""

    def __init__(self, text: str) -> None:
        self._text = _composed(text)
        self._counts = Counter(_bare(word) for word in self._text.split())

    def count(self, word: str) -> int:
        """How often `word`, in NFC, stands in the text."""
        return self._text.count(word) if _SPACELESS.search(word) else self._counts[_bare(word)]


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _bare(word: str) -> str:
    """`word` without the punctuation around it; all of it where it is nothing else."""
    inner = [place for place, letter in enumerate(word) if not unicodedata.category(letter).startswith("P")]
    return word[inner[0] : inner[-1] + 1] if inner else word
