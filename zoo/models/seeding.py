"""Initial weights that depend on a seed and on a place in the model, and on nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def own_randomness(seed: int, place: str = "") -> Iterator[None]:
    """Run the block with torch's CPU generator seeded from `seed` and `place`; put its state back afterwards.

    Each part of a model is built under its own place, so that choosing another component leaves the initial weights
    of all other parts as they were: models of one seed are paired.
    """
    digest = hashlib.sha256(f"{seed}:{place}".encode()).digest()
    generator = torch.default_generator
    state = generator.get_state()
    generator.manual_seed(int.from_bytes(digest[:8], "little"))
    try:
        yield
    finally:
        generator.set_state(state)
