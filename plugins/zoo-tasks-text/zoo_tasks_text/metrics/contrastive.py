"""Contrastive accuracy: is the right translation likelier than wrong ones that differ from it in one thing?"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from typing import Any

import numpy as np

from zoo.errors import InputError
from zoo.statistics import wilson_interval
from zoo.tasks import Example, Items, SummedMetric
from zoo_tasks_text.metrics.corpus import Statistics, check_lengths
from zoo_tasks_text.metrics.options import ContrastiveOptions


class Contrastive(SummedMetric):
    """Share of examples whose target the model finds likelier than each of its contrasts.

    Sennrich 2017 (arXiv:1612.04629), section 3: the log-probabilities of whole sequences are compared; a tie is wrong.
    """

    options: ContrastiveOptions
    reads = "likelihoods"
    name = "contrastive-accuracy"
    direction = "higher"
    unit = "fraction"

    @property
    def signature(self) -> str:
        return f"contrastive|score:log-probability|interval:wilson|version:{metadata.version('zoo-tasks-text')}"

    def accept(self, examples: Sequence[Example]) -> None:
        if not any(example.contrasts for example in examples):
            raise InputError(
                "metric contrastive needs examples with contrasts, wrong translations to compare with: none of the "
                f"{len(examples)} has any"
            )

    def example_items(self, outputs: Sequence[Any], examples: Sequence[Example]) -> Items:
        """Right, and compared: ``[0 or 1, 0 or 1]``, of log-probabilities ``[1 + contrasts]``, the target's first."""
        check_lengths(outputs, examples, examples)
        return [
            np.array([float(scores[0] > max(scores[1:])), 1.0]) if len(scores) > 1 else np.zeros(2)
            for scores in outputs
        ]

    def items(self, outputs: Sequence[Any], references: Sequence[str], sources: Sequence[str]) -> Items:
        """As `example_items`: the log-probabilities say all."""
        check_lengths(outputs, references, sources)
        return self.example_items(outputs, [Example("", *pair) for pair in zip(sources, references, strict=True)])

    def of_sums(self, sums: Statistics) -> Statistics:
        """Of a draw without any compared example, 0: as rare as the examples with contrasts are."""
        return sums[:, 0] / np.maximum(sums[:, 1], 1.0)

    def segments(self, items: Items) -> Statistics:
        return np.array([item[0] / item[1] if item[1] else np.nan for item in items])

    def interval(self, items: Items) -> tuple[float, float] | None:
        right, compared = np.sum(items, axis=0)
        return wilson_interval(int(right), int(compared)) if compared else None
