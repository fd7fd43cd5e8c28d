"""Independent streams of randomness from a spec's seed, or from one of its own for each."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch

from zoo.spec import Spec

Stream = Literal["initialization", "order", "dropout"]
_NAMES = {"initialization": "initialisation"}
"""How a stream is spelt where its numbers are made: as ever, so that they stay what they were."""


def seed_of(spec: Spec, stream: Stream, rank: int = 0, *, ahead: int = 0) -> int:
    """The seed of one stream of a spec's run: of its own number in ``seeds``, or of the spec's one ``seed``.

    `ahead` is added to that number.
    """
    own = None if spec.seeds is None else getattr(spec.seeds, stream)
    return stream_seed((spec.seed if own is None else own) + ahead, stream, rank)


def stream_seed(seed: int, stream: Stream, rank: int = 0) -> int:
    """A 63-bit seed of one stream. Streams of one seed, and one stream of neighbouring seeds, are unrelated.

    `rank` tells apart the processes that train together, where each is to draw numbers of its own.
    """
    name = f"zoo:{_NAMES.get(stream, stream)}:{seed}" + (f":{rank}" if rank else "")
    digest = hashlib.sha256(name.encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def seed_everything(seed: int) -> None:
    """Seed the global generators of torch (every device), numpy and the standard library."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def capture_randomness() -> dict[str, Any]:
    """The state of every global generator, as a tree that `zoo.training.weights.statefile` can write."""
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, cached),
        "torch": torch.get_rng_state(),
        "cuda": list(torch.cuda.get_rng_state_all()) if torch.cuda.is_available() else [],
    }


def restore_randomness(state: dict[str, Any]) -> None:
    """Put back what `capture_randomness` gave."""
    random.setstate(state["python"])
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])


@contextmanager
def preserved_randomness() -> Iterator[None]:
    """Leave the caller's global generators as they were."""
    state = capture_randomness()
    try:
        yield
    finally:
        restore_randomness(state)
