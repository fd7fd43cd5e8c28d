"""Translation edit rate by sacrebleu."""

from __future__ import annotations

import sacrebleu

from zoo_tasks_text.metrics.corpus import SacrebleuMetric, Statistics
from zoo_tasks_text.metrics.error_rate import error_rates
from zoo_tasks_text.metrics.options import TerOptions


class Ter(SacrebleuMetric):
    """Edits, block shifts among them, for 100 words of the reference (Snover et al. 2006).

    An item holds edits and reference words.
    """

    options: TerOptions
    name = "ter"
    direction = "lower"
    unit = "points"

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
