"""Edits over reference length: what TER and CER are of their sums."""

from __future__ import annotations

import numpy as np

from zoo_tasks_text.metrics.corpus import Statistics


def error_rates(sums: Statistics) -> Statistics:
    """Of sums ``[B, 2]`` (edits, reference length) -> ``[B]``.

    Against an empty reference anything written is an error rate of 1 and nothing one of 0, as sacrebleu has it.
    """
    edits, length = sums[:, 0], sums[:, 1]
    return np.where(length > 0, edits / np.where(length > 0, length, 1.0), (edits > 0).astype(np.float64))
