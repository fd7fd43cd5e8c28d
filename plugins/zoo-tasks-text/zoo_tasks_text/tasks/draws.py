"""Choices that depend on a name alone: the same on every platform, whatever else is chosen."""

from __future__ import annotations

import hashlib


def fraction(*names: str) -> float:
    """A number in [0, 1) that `names` decide."""
    digest = hashlib.sha256("\0".join(names).encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def below(bound: int, *names: str) -> int:
    """A whole number from 0 to `bound` - 1 that `names` decide."""
    return int(fraction(*names) * bound)
