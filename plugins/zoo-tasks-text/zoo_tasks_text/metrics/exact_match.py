"""Share of outputs that are right."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata

import numpy as np

from zoo.statistics import wilson_interval
from zoo.tasks import Items, SummedMetric
from zoo_tasks_text.metrics.corpus import Statistics, check_lengths
from zoo_tasks_text.metrics.options import ExactMatchOptions


class ExactMatch(SummedMetric):
    """Share of outputs equal to their reference but for white space."""

    options: ExactMatchOptions
    name = "exact-match"
    direction = "higher"
    unit = "fraction"

    @property
    def signature(self) -> str:
        case = "lc" if self.options.lowercase else "mixed"
        return f"exact-match|case:{case}|space:collapsed|interval:wilson|version:{metadata.version('zoo-tasks-text')}"

    def items(self, outputs: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> Items:
        """One for a hit, and one for the example."""
        check_lengths(outputs, references, sources)
        pairs = zip(outputs, references, strict=True)
        return [np.array([float(self._key(output) == self._key(reference)), 1.0]) for output, reference in pairs]

    def of_sums(self, sums: Statistics) -> Statistics:
        return sums[:, 0] / sums[:, 1]

    def interval(self, items: Items) -> tuple[float, float]:
        hits, trials = np.sum(items, axis=0)
        return wilson_interval(int(hits), int(trials))

    def _key(self, text: str) -> str:
        text = " ".join(text.split())
        return text.lower() if self.options.lowercase else text
