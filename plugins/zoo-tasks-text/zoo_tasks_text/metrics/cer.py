"""Character error rate."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from importlib import metadata

import numpy as np
from rapidfuzz.distance import Levenshtein

from zoo.tasks import Items
from zoo_tasks_text.metrics.corpus import Resampling, Statistics, check_lengths
from zoo_tasks_text.metrics.error_rate import error_rates
from zoo_tasks_text.metrics.options import CerOptions


class Cer(Resampling):
    """Insertions, deletions and substitutions of characters over the characters of all references.

    Levenshtein's distance over code points. The corpus value is that of the summed edits (a long reference weighs more
    than a short one), not the mean of the examples.
    """

    options: CerOptions
    name = "cer"
    direction = "lower"
    unit = "fraction"

    @property
    def signature(self) -> str:
        options = self.options
        case = "lc" if options.lowercase else "mixed"
        versions = f"rapidfuzz:{metadata.version('rapidfuzz')}|version:{metadata.version('zoo-tasks-text')}"
        unicode = f"norm:{options.normalization}|unicode:{unicodedata.unidata_version}"
        return self._signed(f"cer|case:{case}|{unicode}|space:{options.space}|{versions}")

    def items(self, outputs: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> Items:
        """Edits and reference characters."""
        check_lengths(outputs, references, sources)
        pairs = [
            (self._text(output), self._text(reference)) for output, reference in zip(outputs, references, strict=True)
        ]
        return [
            np.array([Levenshtein.distance(output, reference), len(reference)], float) for output, reference in pairs
        ]

    def of_sums(self, sums: Statistics) -> Statistics:
        return error_rates(sums)

    def _text(self, text: str) -> str:
        options = self.options
        if options.normalization == "nfc":
            text = unicodedata.normalize("NFC", text)
        elif options.normalization == "nfkc":
            text = unicodedata.normalize("NFKC", text)
        if options.space != "keep":
            text = (" " if options.space == "collapse" else "").join(text.split())
        return text.lower() if options.lowercase else text
