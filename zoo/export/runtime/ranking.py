"""The best of many scores, and what normalises them, without sorting a vocabulary."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

GROUP = 64
"""Scores whose largest stands for all of them."""


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
    members = np.arange(GROUP)[:, None] * groups + chosen[:, None, :]  # [R, GROUP, count]
    places = members.reshape(rows, -1)  # [R, GROUP * count]
    if whole < width:
        rest = np.broadcast_to(np.arange(whole, width), (rows, width - whole))
        places = np.concatenate((places, rest), axis=1)
    values, found = _partition(np.take_along_axis(scores, places, axis=1), count)
    return values, np.take_along_axis(places, found, axis=1)


def log_normaliser(scores: NDArray[np.float32], scratch: NDArray[np.float32]) -> NDArray[np.float32]:
    """``log sum exp`` of each row of scores ``[R, V]``: ``[R]``. `scratch` ``[V]`` is written over: row by row, so that
    the passes over a row find it in the processor's cache."""
    found = np.empty(len(scores), np.float32)
    for place, row in enumerate(scores):
        largest = row.max()
        np.subtract(row, largest, out=scratch)
        np.exp(scratch, out=scratch)
        found[place] = largest + np.log(scratch.sum())
    return found


def _partition(scores: NDArray[np.float32], count: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    width = scores.shape[1]
    places = np.argpartition(scores, width - count, axis=-1)[:, width - count :]  # [R, count]
    return np.take_along_axis(scores, places, axis=1), places
