"""Groups of images and boxes by their shape."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

from zoo.tasks import Box


def bands(edges: Sequence[float]) -> list[str]:
    """The bands that rising edges make, the open ones at both ends included: ``<2``, ``2-5``, ``>=5``."""
    inner = [f"{low:g}-{high:g}" for low, high in pairwise(edges)]
    return [f"<{edges[0]:g}", *inner, f">={edges[-1]:g}"]


def band(edges: Sequence[float], value: float) -> str:
    """The band that a value lies in; its lower edge belongs to it."""
    return bands(edges)[bisect_right(edges, value)]


def size_name(aspect: str, height: str) -> str:
    """The name of a stratum of boxes: ``aspect 5-15, height 16-32``."""
    return f"aspect {aspect}, height {height}"


def size_of(box: Box, aspects: Sequence[float], heights: Sequence[float]) -> str:
    """The stratum of a box; without height it is as wide as can be."""
    width, height = box[2] - box[0], box[3] - box[1]
    return size_name(band(aspects, width / height if height else float("inf")), band(heights, height))
