"""The best of many scores, and what normalises them, without sorting a vocabulary."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

GROUP = 64
"""Scores whose largest stands for all of them."""
_SAFE = 60.0
"""exp of a largest score within this is far from the ends of float32, however many are added: no shift is needed."""


class Continuations(NamedTuple):
    """The best of N sentences, of K rows each, best first: all ``[N, count]``."""

    values: NDArray[np.float32]
    beams: NDArray[np.int64]
    """Which of its sentence's rows each is of."""
    places: NDArray[np.int64]
    """Which of the row's scores each is."""


def best(
    scores: NDArray[np.float32], normaliser: NDArray[np.float32], running: NDArray[np.float32], count: int
) -> Continuations:
    """Of each sentence the `count` largest ``(scores - normaliser) + running``, or all where there are fewer.

    Scores are ``[N * K, V]``, what is taken from a row's ``[N * K]``, and what is added to it ``[N, K]``. The largest
    lie in as many groups with the largest maxima: these are found in one pass at the speed of memory, and only their
    members are compared.
    """
    sentences, width = running.shape
    vocabulary = scores.shape[1]
    added = running.reshape(-1)  # [N * K]
    groups = vocabulary // GROUP
    if width * groups <= count:
        values = (scores - normaliser[:, None]) + added[:, None]
        return _chosen(values.reshape(sentences, -1), None, vocabulary, count)
    whole = groups * GROUP
    grid = scores[:, :whole].reshape(-1, GROUP, groups)  # group g holds the places g, g + groups, ...
    largest = (grid.max(axis=1) - normaliser[:, None]) + added[:, None]  # [N * K, groups]
    largest = largest.reshape(sentences, -1)  # [N, K * groups]
    chosen = np.argpartition(largest, -count, axis=-1)[:, -count:]  # [N, count]
    beams, group = np.divmod(chosen, groups)
    members = beams[:, None] * vocabulary + group[:, None] + np.arange(0, whole, groups)[:, None]  # [N, GROUP, count]
    places = members.reshape(sentences, -1)  # [N, GROUP * count]: among all of a sentence's scores
    if whole < vocabulary:
        rest = np.arange(width)[:, None] * vocabulary + np.arange(whole, vocabulary)
        places = np.concatenate((places, np.broadcast_to(rest.reshape(-1), (sentences, rest.size))), axis=1)
    rows = places // vocabulary + np.arange(sentences)[:, None] * width  # [N, GROUP * count + ...]
    values = (along(scores.reshape(sentences, -1), places) - normaliser[rows]) + added[rows]
    return _chosen(values, places, vocabulary, count)


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


def _chosen(
    values: NDArray[np.float32], places: NDArray[np.int64] | None, vocabulary: int, count: int
) -> Continuations:
    """The `count` largest of values ``[N, C]``, which stand at `places` among a sentence's; None: where they are."""
    if count < values.shape[1]:
        found = np.argpartition(values, -count, axis=-1)[:, -count:]  # [N, count]
        values, places = along(values, found), found if places is None else along(places, found)
    order = np.argsort(-values, axis=1, kind="stable")
    places = order if places is None else along(places, order)
    beams, places = np.divmod(places, vocabulary)
    return Continuations(along(values, order), beams, places)
