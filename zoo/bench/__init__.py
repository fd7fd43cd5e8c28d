"""Benchmarks: cells, the records of their attempts, and the store that holds them.

`zoo.bench.run` (which needs torch) and `zoo.bench.pytest_plugin` are imported from their own modules.
"""

from zoo.bench.record import SCHEMA, Record, Status
from zoo.bench.schema import record_schema
from zoo.bench.store import Problem, Reading, RecordStore, new_record_id, record_text

__all__ = [
    "SCHEMA",
    "Problem",
    "Reading",
    "Record",
    "RecordStore",
    "Status",
    "new_record_id",
    "record_schema",
    "record_text",
]
