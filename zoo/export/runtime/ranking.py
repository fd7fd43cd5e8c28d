"""The best of many scores, and what normalises them, without sorting a vocabulary."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

GROUP = 64
"""Scores whose largest stands for all of them."""
_SAFE = 60.0
"""exp of a largest score within this is far from the ends of float32, however many are added: no shift is needed."""


def best(scores: NDArray[np.float32], count: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The `count` largest of each row of scores ``[R, V]`` and their places, both ``[R, count]``, in no order.

    The k largest lie in the k groups with the largest maxima: these are found in one pass at the speed of memory, and
    only their members are compared. All of a row where `count` is not below V.
    """
    rows, width = scores.shape
    count = min(count, width)
    groups = width // GROUP
    if groups <= count:
        return _partition(scores, count)
    whole = groups * GROUP
    grid = scores[:, :whole].reshape(rows, GROUP, groups)  # group g holds the places g, g + groups, ...
    chosen = np.argpartition(grid.max(axis=1), groups - count, axis=-1)[:, groups - count :]  # [R, count]
    members = np.arange(0, whole, groups)[:, None] + chosen[:, None, :]  # [R, GROUP, count]
    places = members.reshape(rows, -1)  # [R, GROUP * count]
    if whole < width:
        rest = np.broadcast_to(np.arange(whole, width), (rows, width - whole))
        places = np.concatenate((places, rest), axis=1)
    values, found = _partition(along(scores, places), count)
    return values, along(places, found)


def along(values: NDArray[Any], places: NDArray[np.int64]) -> NDArray[Any]:
    """``[R, C, ...]`` at ``[R, D]`` -> ``[R, D, ...]``: numpy's `take_along_axis`, which spends longer on its indices
    than a step has for all of Python."""
    found: NDArray[Any] = values[np.arange(len(values))[:, None], places]
    return found


def log_normaliser(scores: NDArray[np.float32], scratch: NDArray[np.float32]) -> NDArray[np.float32]:
    """``log sum exp`` of each row of scores ``[R, V]``: ``[R]``. `scratch` ``[V]`` is written over: row by row, so that
    the second pass over a row finds it in the processor's cache."""
    largest = scores.max(axis=1)  # [R]
    shifts = np.where(np.abs(largest) < _SAFE, np.float32(0.0), largest)
    sums = np.empty(len(scores), np.float32)
    for place, row in enumerate(scores):
        if shifts[place]:
            row = np.subtract(row, shifts[place], out=scratch)
        np.exp(row, out=scratch)
        sums[place] = np.add.reduce(scratch)
    return shifts + np.log(sums)


def _partition(scores: NDArray[np.float32], count: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    width = scores.shape[1]
    places = np.argpartition(scores, width - count, axis=-1)[:, width - count :]  # [R, count]
    return along(scores, places), places
