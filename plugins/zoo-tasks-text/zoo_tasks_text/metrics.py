"""Quality of outputs against references: BLEU, chrF and exact match."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from importlib import metadata
from typing import Any, Literal

import numpy as np
import sacrebleu
from numpy.typing import NDArray

from zoo.errors import ZooError
from zoo.statistics import percentile_interval
from zoo.tasks import Items, SummedMetric
from zoo_tasks_text.options import BleuOptions, ChrfOptions, ExactMatchOptions, Resampled

Statistics = NDArray[np.float64]


class Resampling(SummedMetric):
    """What metrics with a bootstrap interval share."""

    options: Resampled

    @property
    def direction(self) -> Literal["higher", "lower"]:
        return "higher"

    @property
    def unit(self) -> str:
        return "points"

    def interval(self, items: Items) -> tuple[float, float]:
        return percentile_interval(
            len(items),
            lambda weights: self.combined(items, weights),
            resamples=self.options.resamples,
            seed=self.options.seed,
        )

    def _signed(self, signature: object) -> str:
        return f"{signature}|bs:{self.options.resamples}|seed:{self.options.seed}"


class Bleu(Resampling):
    """Corpus BLEU (Papineni et al. 2002) with sacrebleu's exponential smoothing of zero counts (Post 2018)."""

    options: BleuOptions
    name = "bleu"

    @property
    def signature(self) -> str:
        metric = self._metric()
        metric.num_refs = 1  # sacrebleu writes it into the signature once it has scored
        return self._signed(metric.get_signature())

    def items(self, outputs: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> Items:
        """Output length, reference length, matches and totals of each order. Raises ZooError where the tokenizer needs
        a package that is not installed.
        """
        _check(outputs, references, sources)
        return list(segment_statistics(self._metric(), outputs, references))

    def of_sums(self, sums: Statistics) -> Statistics:
        return bleu_scores(sums)

    def _metric(self) -> sacrebleu.BLEU:
        tokenize = self.options.tokenize
        logger = logging.getLogger("sacrebleu")
        level = logger.level
        # sacrebleu logs its own advice beside the exception; one clear line is ours to write.
        logger.setLevel(logging.CRITICAL)
        try:
            # force: outputs that end in " ." are the model's doing, not a tokenised file.
            return sacrebleu.BLEU(tokenize=tokenize, lowercase=self.options.lowercase, force=True)
        except (ImportError, RuntimeError) as error:
            raise ZooError(
                f"BLEU's tokenizer {tokenize} needs a package that is not installed "
                "(pip install 'sacrebleu[ja]'); or set tokenize: char, or use chrf"
            ) from error
        finally:
            logger.setLevel(level)


class Chrf(Resampling):
    """Character n-gram F-score (Popovic 2015); with word_order 2, chrF++ (Popovic 2017)."""

    options: ChrfOptions
    name = "chrf"

    @property
    def signature(self) -> str:
        metric = self._metric()
        metric.num_refs = 1
        return self._signed(metric.get_signature())

    def items(self, outputs: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> Items:
        """For each order: output n-grams, reference n-grams, matches."""
        _check(outputs, references, sources)
        return list(segment_statistics(self._metric(), outputs, references))

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
        _check(outputs, references, sources)
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


def segment_statistics(metric: Any, outputs: Sequence[str], references: Sequence[str]) -> Statistics:
    """``[N, K]``: what sacrebleu sums over segments before it scores.

    sacrebleu has no public name for these; its own bootstrap uses this method. A test holds the scores made from
    them to `corpus_score`.
    """
    rows = metric._extract_corpus_statistics(list(outputs), [list(references)])
    return np.asarray(rows, dtype=np.float64)


def bleu_scores(sums: Statistics) -> Statistics:
    """BLEU in points of sums ``[B, 2 + 2N]``: output length, reference length, N matches, N totals -> ``[B]``."""
    orders = (sums.shape[1] - 2) // 2
    output, reference = sums[:, 0], sums[:, 1]
    matches, totals = sums[:, 2 : 2 + orders], sums[:, 2 + orders :]  # [B, N]
    # Each order without a match halves the pseudo-count again (Chen and Cherry 2014, smoothing 3).
    empty = (matches == 0) & (totals > 0)
    pseudo = 0.5 ** np.cumsum(empty, axis=1)  # [B, N]
    with np.errstate(divide="ignore", invalid="ignore"):
        precisions = np.where(empty, pseudo, matches) / totals  # [B, N]
        penalty = np.where(output < reference, np.exp(1 - reference / output), 1.0)  # [B]
        scores = 100 * penalty * np.exp(np.log(precisions).mean(axis=1))  # [B]
    return np.where((totals > 0).all(axis=1) & (matches > 0).any(axis=1), scores, 0.0)


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


def wilson_interval(hits: int, trials: int) -> tuple[float, float]:
    """95% score interval of a share (Wilson 1927): honest at 0 and 1, where a bootstrap has no width."""
    z = 1.959963984540054
    share, extra = hits / trials, z**2 / trials
    middle = (share + extra / 2) / (1 + extra)
    half = z / (1 + extra) * math.sqrt(share * (1 - share) / trials + extra / (4 * trials))
    return max(0.0, middle - half), min(1.0, middle + half)


def _check(outputs: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> None:
    if not len(outputs) == len(references) == len(sources):
        raise ValueError(
            f"{len(outputs)} outputs, {len(references)} references, {len(sources)} sources: expected equal numbers"
        )
    if not outputs:
        raise ValueError("nothing to score: no outputs")
