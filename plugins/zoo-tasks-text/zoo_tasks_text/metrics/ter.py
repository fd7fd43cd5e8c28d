"""Translation edit rate by sacrebleu."""

from __future__ import annotations

from collections.abc import Sequence

import sacrebleu

from zoo.tasks import Items
from zoo_tasks_text.metrics.corpus import (
    Resampling,
    Statistics,
    check_lengths,
    sacrebleu_signature,
    segment_statistics,
)
from zoo_tasks_text.metrics.error_rate import error_rates
from zoo_tasks_text.metrics.options import TerOptions


class Ter(Resampling):
    """Edits, block shifts among them, for 100 words of the reference (Snover et al. 2006)."""

    options: TerOptions
    name = "ter"
    direction = "lower"
    unit = "points"

    @property
    def signature(self) -> str:
        return self._signed(sacrebleu_signature(self._metric()))

    def items(self, outputs: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> Items:
        """Edits and reference words."""
        check_lengths(outputs, references, sources)
        return list(segment_statistics(self._metric(), outputs, references))

    def of_sums(self, sums: Statistics) -> Statistics:
        return 100 * error_rates(sums)

    def _metric(self) -> sacrebleu.TER:
        options = self.options
        return sacrebleu.TER(
            normalized=options.normalized,
            no_punct=not options.punctuation,
            asian_support=options.asian,
            case_sensitive=options.case_sensitive,
        )
