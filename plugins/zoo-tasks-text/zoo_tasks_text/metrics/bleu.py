"""BLEU by sacrebleu."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import sacrebleu

from zoo.errors import ZooError
from zoo.tasks import Items
from zoo_tasks_text.metrics.corpus import SacrebleuMetric, Statistics
from zoo_tasks_text.metrics.options import BleuOptions


class Bleu(SacrebleuMetric):
    """Corpus BLEU (Papineni et al. 2002) with sacrebleu's exponential smoothing of zero counts (Post 2018).

    An item holds output length, reference length, matches and totals of each order.
    """

    options: BleuOptions
    name = "bleu"
    direction = "higher"
    unit = "points"

    def prepare(self) -> None:
        """Raise ZooError where the tokenizer needs a package that is not installed."""
        self._metric()

    def of_sums(self, sums: Statistics) -> Statistics:
        return bleu_scores(sums)

    def details(self, items: Items) -> Mapping[str, Any]:
        """The precision of each order in per cent, brevity penalty, and both lengths in tokens."""
        sums = np.sum(items, axis=0, keepdims=True)
        precisions, penalty = bleu_parts(sums)
        return {
            "precisions": [100 * float(precision) for precision in np.nan_to_num(precisions[0])],
            "brevity_penalty": float(penalty[0]),
            "output_length": int(sums[0, 0]),
            "reference_length": int(sums[0, 1]),
        }

    def _metric(self) -> sacrebleu.BLEU:
        return sacrebleu_bleu(self.options.tokenize, lowercase=self.options.lowercase, asked_by="BLEU")


def sacrebleu_bleu(tokenize: str, *, lowercase: bool, asked_by: str) -> sacrebleu.BLEU:
    """sacrebleu's BLEU with one of its tokenizers. Raises ZooError where that needs a package that is not installed."""
    logger = logging.getLogger("sacrebleu")
    level = logger.level
    # sacrebleu logs its own advice beside the exception; one clear line is ours to write.
    logger.setLevel(logging.CRITICAL)
    try:
        # force: outputs that end in " ." are the model's doing, not a tokenised file.
        return sacrebleu.BLEU(tokenize=tokenize, lowercase=lowercase, force=True)
    except (ImportError, RuntimeError) as error:
        raise ZooError(
            f"{asked_by}'s tokenizer {tokenize} needs a package that is not installed "
            "(pip install 'sacrebleu[ja]'); or set tokenize: char, or use chrf"
        ) from error
    finally:
        logger.setLevel(level)


def bleu_parts(sums: Statistics) -> tuple[Statistics, Statistics]:
    """Smoothed precisions ``[B, N]`` (NaN where an order has no n-gram) and brevity penalties ``[B]`` of `sums`."""
    orders = (sums.shape[1] - 2) // 2
    output, reference = sums[:, 0], sums[:, 1]
    matches, totals = sums[:, 2 : 2 + orders], sums[:, 2 + orders :]  # [B, N]
    # Each order without a match halves the pseudo-count again (Chen and Cherry 2014, smoothing 3).
    empty = (matches == 0) & (totals > 0)
    pseudo = 0.5 ** np.cumsum(empty, axis=1)  # [B, N]
    with np.errstate(divide="ignore", invalid="ignore"):
        precisions = np.where(empty, pseudo, matches) / totals  # [B, N]
        penalty = np.where(output < reference, np.exp(1 - reference / output), 1.0)  # [B]
    return precisions, penalty


def bleu_scores(sums: Statistics) -> Statistics:
    """BLEU in points of sums ``[B, 2 + 2N]``: output length, reference length, N matches, N totals -> ``[B]``."""
    orders = (sums.shape[1] - 2) // 2
    matches, totals = sums[:, 2 : 2 + orders], sums[:, 2 + orders :]  # [B, N]
    precisions, penalty = bleu_parts(sums)
    with np.errstate(divide="ignore", invalid="ignore"):
        scores = 100 * penalty * np.exp(np.log(precisions).mean(axis=1))  # [B]
    return np.where((totals > 0).all(axis=1) & (matches > 0).any(axis=1), scores, 0.0)
