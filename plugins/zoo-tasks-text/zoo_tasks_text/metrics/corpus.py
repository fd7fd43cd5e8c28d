"""What the metrics share: outputs that fit their references, a bootstrap interval, sacrebleu's statistics."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.statistics import percentile_interval
from zoo.tasks import Items, SummedMetric
from zoo_tasks_text.metrics.options import Resampled

Statistics = NDArray[np.float64]


class Resampling(SummedMetric):
    """A metric with a bootstrap interval, whose resamples its signature names."""

    options: Resampled

    def interval(self, items: Items) -> tuple[float, float]:
        return percentile_interval(
            len(items),
            lambda weights: self.combined(items, weights),
            resamples=self.options.resamples,
            seed=self.options.seed,
        )

    def _signed(self, signature: object) -> str:
        return f"{signature}|bs:{self.options.resamples}|seed:{self.options.seed}"


class SacrebleuMetric(Resampling):
    """One of sacrebleu's metrics with one reference: its statistics are the items, its signature the signature."""

    @property
    def signature(self) -> str:
        return self._signed(sacrebleu_signature(self._metric()))

    def items(self, outputs: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> Items:
        """What sacrebleu sums over segments. Raises ZooError where `prepare` does."""
        check_lengths(outputs, references, sources)
        return list(segment_statistics(self._metric(), outputs, references))

    @abstractmethod
    def _metric(self) -> Any:
        """sacrebleu's metric with these options."""


def check_lengths(outputs: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> None:
    """Raise ValueError where the numbers differ or nothing is given."""
    if not len(outputs) == len(references) == len(sources):
        raise ValueError(
            f"{len(outputs)} outputs, {len(references)} references, {len(sources)} sources: expected equal numbers"
        )
    if not outputs:
        raise ValueError("nothing to score: no outputs")


def segment_statistics(metric: Any, outputs: Sequence[str], references: Sequence[str]) -> Statistics:
    """``[N, K]``: what sacrebleu sums over segments before it scores.

    sacrebleu has no public name for these; its own bootstrap uses this method. Tests hold the scores made from them to
    `corpus_score`.
    """
    rows = metric._extract_corpus_statistics(list(outputs), [list(references)])
    return np.asarray(rows, dtype=np.float64)


def sacrebleu_signature(metric: Any) -> str:
    """sacrebleu's signature of a metric with one reference."""
    metric.num_refs = 1  # sacrebleu writes it into the signature once it has scored
    return str(metric.get_signature())
