"""Quality of outputs against references: BLEU, chrF and exact match."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from importlib import metadata
from typing import Any

import numpy as np
import sacrebleu

from zoo.errors import ZooError
from zoo.tasks import Metric, Score
from zoo_tasks_text.bootstrap import Statistics, percentile_interval
from zoo_tasks_text.options import BleuOptions, ChrfOptions, ExactMatchOptions


class Bleu(Metric):
    """Corpus BLEU (Papineni et al. 2002) with sacrebleu's exponential smoothing of zero counts (Post 2018)."""

    options: BleuOptions

    def score(self, outputs: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> Score:
        """Raises ZooError where the tokenizer needs a package that is not installed."""
        _check(outputs, references, sources)
        metric = self._metric()
        statistics = segment_statistics(metric, outputs, references)
        result = metric.corpus_score(list(outputs), [list(references)])
        return Score(
            metric="bleu",
            value=float(result.score),
            direction="higher",
            unit="points",
            signature=f"{metric.get_signature()}|bs:{self.options.resamples}|seed:{self.options.seed}",
            interval=percentile_interval(
                statistics, bleu_scores, resamples=self.options.resamples, seed=self.options.seed
            ),
            details={
                "precisions": [float(value) for value in result.precisions],
                "brevity_penalty": float(result.bp),
                "output_tokens": int(result.sys_len),
                "reference_tokens": int(result.ref_len),
            },
        )

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


class Chrf(Metric):
    """Character n-gram F-score (Popovic 2015); with word_order 2, chrF++ (Popovic 2017)."""

    options: ChrfOptions

    def score(self, outputs: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> Score:
        _check(outputs, references, sources)
        options = self.options
        metric = sacrebleu.CHRF(
            char_order=options.char_order,
            word_order=options.word_order,
            beta=options.beta,
            lowercase=options.lowercase,
        )
        statistics = segment_statistics(metric, outputs, references)
        result = metric.corpus_score(list(outputs), [list(references)])
        return Score(
            metric="chrf",
            value=float(result.score),
            direction="higher",
            unit="points",
            signature=f"{metric.get_signature()}|bs:{options.resamples}|seed:{options.seed}",
            interval=percentile_interval(
                statistics,
                lambda sums: chrf_scores(sums, beta=options.beta),
                resamples=options.resamples,
                seed=options.seed,
            ),
        )


class ExactMatch(Metric):
    """Share of outputs equal to their reference but for white space."""

    options: ExactMatchOptions

    def score(self, outputs: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> Score:
        _check(outputs, references, sources)
        hits = sum(
            self._key(output) == self._key(reference) for output, reference in zip(outputs, references, strict=True)
        )
        case = "lc" if self.options.lowercase else "mixed"
        return Score(
            metric="exact-match",
            value=hits / len(outputs),
            direction="higher",
            unit="fraction",
            signature=f"exact-match|case:{case}|space:collapsed|interval:wilson|version:{metadata.version('zoo-tasks-text')}",
            interval=wilson_interval(hits, len(outputs)),
        )

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
