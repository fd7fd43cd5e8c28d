"""Batches that are timed, and the rate of one. Torch-free."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from zoo.tasks.images import Source

REPEATS = 3
"""Timed batches of each size."""


@dataclass(frozen=True)
class Rate:
    """What one batch size gave."""

    batch: int
    status: Literal["ok", "oom", "untried"]
    """oom: the memory does not hold it. untried: a smaller batch was too large already."""
    tokens_per_second: float | None = None
    """None where no tokens are written, or nobody counts them."""
    sentences_per_second: float | None = None


def batch_of(sentences: Sequence[Source], batch: int) -> list[Source]:
    """The first `batch` sentences, repeated in their order until there are as many."""
    return list(itertools.islice(itertools.cycle(sentences), batch))
