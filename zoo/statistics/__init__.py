"""Intervals and tests over examples, seeds and processes: numpy and scipy only, every generator explicit.

Metrics, the comparison of records and the site use these; nothing here knows of models or records.

| question | answer |
|---|---|
| how sure is one score? | `percentile_interval` over examples; `wilson_interval` of a share |
| do these two trained models differ? | `paired_randomization` on examples; `percentile_interval` of the difference |
| do these two architectures differ? | `seeds_by_items`; `welch_test` and `sign_flip_test` on seeds alone |
| which of many differences are real? | `holm` (no false alarm), `benjamini_hochberg` (few of what is found are) |
| who is tied with whom? | `ranks`, `tie_groups`, `interval_tie_groups`, `letters` |
| how many times as slow? | `ratio_interval` of processes' medians |
"""

from zoo.statistics.bootstrap import Interval, Weighted, percentile_interval
from zoo.statistics.multiplicity import benjamini_hochberg, holm
from zoo.statistics.permutation import Randomization, SignFlips, paired_randomization, sign_flip_test
from zoo.statistics.ratios import ratio_interval
from zoo.statistics.seeds import MeanDifference, seeds_by_items, welch_test
from zoo.statistics.shares import wilson_interval
from zoo.statistics.ties import interval_tie_groups, letters, ranks, tie_groups

__all__ = [
    "Interval",
    "MeanDifference",
    "Randomization",
    "SignFlips",
    "Weighted",
    "benjamini_hochberg",
    "holm",
    "interval_tie_groups",
    "letters",
    "paired_randomization",
    "percentile_interval",
    "ranks",
    "ratio_interval",
    "seeds_by_items",
    "sign_flip_test",
    "tie_groups",
    "welch_test",
    "wilson_interval",
]
