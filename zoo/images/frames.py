"""The frames of a CTC head as tokens (Graves et al. 2006, section 3.2: best path decoding). Torch-free."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def best_path(
    best: NDArray[np.int64], frames: NDArray[np.int64], *, blank: int, end: int, longest: int | None = None
) -> list[list[int]]:
    """What the best token of each frame, best ``[M, F]``, of which an image has frames ``[M]``, writes: repeats merged,
    blanks dropped, and `end` behind it.

    At most `longest` tokens with the end; a longer text is cut and has none.
    """
    inside = np.arange(best.shape[1]) < frames[:, None]  # [M, F]
    before: NDArray[Any] = np.concatenate((np.full((len(best), 1), blank, best.dtype), best[:, :-1]), axis=1)  # [M, F]
    kept = (best != blank) & (best != before) & inside  # [M, F]
    return [[*row[own].tolist(), end][:longest] for row, own in zip(best, kept, strict=True)]
