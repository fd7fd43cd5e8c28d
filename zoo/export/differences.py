"""How far scores of an export are from torch's: what exporters count as they compare. Torch-free."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.floating[Any]]


class Differences:
    """Gathers scores, some rows at a time."""

    def __init__(self, *, probabilities: bool = True) -> None:
        """`probabilities`: whether a row of scores makes a distribution by its softmax, as logits of tokens do."""
        self._probabilities = probabilities
        self._largest = self._sum = self._divergence = 0.0
        self._scores = self._rows = 0

    def add(self, expected: Scores, found: Scores) -> None:
        """Torch's scores and the export's: ``[N, V]`` of N tokens."""
        if not expected.size:
            return
        # What is excluded on both sides has no difference, which the infinities of the two would not give.
        apart = np.abs(np.subtract(found, expected, where=found != expected, out=np.zeros_like(found)))  # [N, V]
        largest = float(apart.max())
        self._largest = largest if largest != largest else max(self._largest, largest)  # NaN stays
        self._sum += float(apart.sum(dtype=np.float64))
        self._scores += apart.size
        self._rows += len(expected)
        if self._probabilities:
            self._divergence += float(divergences(expected, found).sum(dtype=np.float64))

    @property
    def largest(self) -> float:
        """The largest absolute difference; NaN where one was."""
        return self._largest

    @property
    def mean(self) -> float | None:
        """The mean absolute difference; None of nothing."""
        return self._sum / self._scores if self._scores else None

    @property
    def divergence(self) -> float | None:
        """The mean of `divergences`; None of nothing, or of what gives no probabilities."""
        return self._divergence / self._rows if self._rows and self._probabilities else None


def divergences(expected: Scores, found: Scores) -> NDArray[np.float64]:
    """``KL(p || q)`` in nats ``[N]`` of the softmax p of `expected` and q of `found`, both ``[N, V]``."""
    p, q = _log_softmax(expected), _log_softmax(found)
    with np.errstate(invalid="ignore"):
        terms = np.where(np.isneginf(p), 0.0, np.exp(p) * (p - q))  # [N, V]
    return np.asarray(np.maximum(terms.sum(axis=-1), 0.0), np.float64)  # below 0 by rounding alone


def _log_softmax(scores: Scores) -> NDArray[np.float64]:
    shifted = scores.astype(np.float64) - scores.max(axis=-1, keepdims=True)  # [N, V]
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))
