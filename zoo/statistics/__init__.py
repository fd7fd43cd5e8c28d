"""Intervals and tests over examples and seeds: numpy and scipy only, every generator explicit.

Metrics, the comparison of records and the site use these; nothing here knows of models or records.
"""

from zoo.statistics.bootstrap import percentile_interval

__all__ = ["percentile_interval"]
