"""chrF by sacrebleu."""

from __future__ import annotations

import numpy as np
import sacrebleu

from zoo_tasks_text.metrics.corpus import SacrebleuMetric, Statistics
from zoo_tasks_text.metrics.options import ChrfOptions


class Chrf(SacrebleuMetric):
    """Character n-gram F-score (Popovic 2015); with word_order 2, chrF++ (Popovic 2017).

    An item holds, for each order, output n-grams, reference n-grams and matches.
    """

    options: ChrfOptions
    name = "chrf"
    direction = "higher"
    unit = "points"

    def of_sums(self, sums: Statistics) -> Statistics:
        return chrf_scores(sums, beta=self.options.beta)

    def _metric(self) -> sacrebleu.CHRF:
        options = self.options
        return sacrebleu.CHRF(
            char_order=options.char_order,
            word_order=options.word_order,
            beta=options.beta,
            lowercase=options.lowercase,
        )


def chrf_scores(sums: Statistics, *, beta: int) -> Statistics:
    """chrF in points of sums ``[B, 3N]`` (per order: output n-grams, reference n-grams, matches) -> ``[B]``."""
    counts = sums.reshape(len(sums), -1, 3)  # [B, N, 3]
    output, reference, matches = counts[..., 0], counts[..., 1], counts[..., 2]
    usable = (output > 0) & (reference > 0)
    number = np.maximum(usable.sum(axis=1), 1)
    # Orders that one side is too short for do not count.
    precision = np.where(usable, matches / np.maximum(output, 1), 0.0).sum(axis=1) / number  # [B]
    recall = np.where(usable, matches / np.maximum(reference, 1), 0.0).sum(axis=1) / number  # [B]
    below = beta**2 * precision + recall
    scores: Statistics = 100 * (1 + beta**2) * precision * recall / np.where(below > 0, below, 1.0)
    return scores
