"""Omitted sentences of document translation."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata

import numpy as np

from zoo.tasks import Items
from zoo_tasks_text.metrics.corpus import Resampling, Statistics, check_lengths
from zoo_tasks_text.metrics.options import OmittedOptions


class Omitted(Resampling):
    """Share of the references' sentences (lines) that outputs with fewer lines leave out.

    What is counted is lines, not meaning: an output that puts two sentences on one line omits one here.
    """

    options: OmittedOptions
    name = "omitted-sentences"
    direction = "lower"
    unit = "fraction"

    @property
    def signature(self) -> str:
        return self._signed(f"omitted-sentences|version:{metadata.version('zoo-tasks-text')}")

    def items(self, outputs: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> Items:
        """Sentences left out, and sentences of the reference."""
        check_lengths(outputs, references, sources)
        counted = [(_sentences(output), _sentences(reference)) for output, reference in zip(outputs, references,
                   strict=True)]  # fmt: skip
        return [np.array([float(max(0, wanted - found)), float(wanted)]) for found, wanted in counted]

    def of_sums(self, sums: Statistics) -> Statistics:
        return sums[:, 0] / np.maximum(sums[:, 1], 1.0)


def _sentences(text: str) -> int:
    return sum(1 for line in text.split("\n") if line.strip())
