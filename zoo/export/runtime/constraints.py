"""Constraints on outputs: what is done to scores before a token is chosen, in transformers' order."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.export.runtime.settings import Search


def constrain(scores: NDArray[np.float32], written: NDArray[np.int64], search: Search) -> None:
    """Change scores ``[R, V]`` in place, for rows that have written ``[R, 1 + T]``, the start token first."""
    steps = written.shape[1] - 1
    if search.repetition_penalty != 1.0:
        _penalise(scores, written, search.repetition_penalty)
    if search.no_repeat_ngram:
        _ban_repetition(scores, written, search.no_repeat_ngram)
    if search.banned:
        scores[:, list(search.banned)] = -np.inf
    for run in search.banned_runs:
        _ban_end(scores, written, run)
    if steps < search.min_new_tokens:
        scores[:, search.end] = -np.inf
    if search.forced_first is not None and steps == 0:
        _force(scores, search.forced_first)
    if search.forced_last is not None and steps == search.max_new_tokens - 1:
        _force(scores, search.forced_last)


def _penalise(scores: NDArray[np.float32], written: NDArray[np.int64], penalty: float) -> None:
    """Divide positive scores of written tokens, multiply negative ones (Keskar et al. 2019, section 4.1)."""
    found = np.take_along_axis(scores, written, axis=1)  # [R, 1 + T]
    changed = np.where(found < 0, found * np.float32(penalty), found / np.float32(penalty))
    np.put_along_axis(scores, written, changed, axis=1)


def _ban_repetition(scores: NDArray[np.float32], written: NDArray[np.int64], size: int) -> None:
    """Ban every token that would end an n-gram of this size which stands in its row already."""
    length = written.shape[1]
    if length < size:
        return
    windows: NDArray[Any] = np.lib.stride_tricks.sliding_window_view(written, size, axis=1)  # [R, W, size]
    open_end = written[:, length + 1 - size :]  # [R, size - 1]
    rows, places = np.nonzero((windows[..., :-1] == open_end[:, None]).all(axis=-1))  # of [R, W]
    scores[rows, windows[rows, places, -1]] = -np.inf


def _ban_end(scores: NDArray[np.float32], written: NDArray[np.int64], run: tuple[int, ...]) -> None:
    """Ban the last token of a run of tokens where the others have just been written. As in transformers, a run that is
    longer than all that stands in a row, its start token included, cannot be."""
    before = len(run) - 1
    if len(run) <= written.shape[1]:
        rows = (written[:, -before:] == np.array(run[:-1])).all(axis=1)  # [R]
        scores[rows, run[-1]] = -np.inf


def _force(scores: NDArray[np.float32], token: int) -> None:
    scores[:] = -np.inf
    scores[:, token] = 0.0
