"""Intervals and tests over examples and seeds: numpy and scipy only, every generator explicit.

Metrics, the comparison of records and the site use these; nothing here knows of models or records.
"""

from zoo.statistics.bootstrap import percentile_interval
from zoo.statistics.ties import interval_tie_groups, letters, ranks, tie_groups

__all__ = ["interval_tie_groups", "letters", "percentile_interval", "ranks", "tie_groups"]
