"""Many tests at once: p-values adjusted so that each may be held against one level."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's (1979) step-down adjustment: the chance of any false alarm among all is at most the level.

    In the order given. Raises ValueError where a value is no probability.
    """
    values = _probabilities(p_values)
    order = np.argsort(values, kind="stable")
    factors = np.arange(values.size, 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(factors * values[order]))
    return [float(value) for value in adjusted]


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Benjamini and Hochberg's (1995) step-up adjustment: the expected share of false ones among what is found.

    For independent or positively dependent tests (Benjamini and Yekutieli 2001). In the order given. Raises ValueError
    where a value is no probability.
    """
    values = _probabilities(p_values)
    order = np.argsort(values, kind="stable")[::-1]
    factors = values.size / np.arange(values.size, 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(1, np.minimum.accumulate(factors * values[order]))
    return [float(value) for value in adjusted]


def _probabilities(p_values: Sequence[float]) -> NDArray[np.float64]:
    values = np.asarray(p_values, dtype=np.float64)
    if values.size and not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"expected probabilities between 0 and 1, found {list(p_values)}")
    return values.reshape(-1)
