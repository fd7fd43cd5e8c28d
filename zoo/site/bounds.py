"""Bounds on what a record can make of a page: free-form facts are whole up to a size that no run of ours reaches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.site.naming import LONGEST_LINE, shortened

MOST_LEAVES = 2000
_DEEPEST = 60
_LONGEST = 2000


def bounded(value: Any) -> Any:
    """A copy of plain data with at most `MOST_LEAVES` leaves, long texts cut, and a word on what was left out."""
    left = MOST_LEAVES

    def copy(value: Any, depth: int) -> Any:
        nonlocal left
        left -= 1
        if isinstance(value, str):
            return shortened(value, _LONGEST)
        if isinstance(value, (Mapping, list, tuple)) and depth > _DEEPEST:
            return "(cut: nested too deep)"
        if isinstance(value, Mapping):
            kept: dict[str, Any] = {}
            for name, item in value.items():
                if left <= 0:
                    kept["(cut)"] = f"{len(value) - len(kept):,} more of {len(value):,}"
                    break
                kept[shortened(str(name), LONGEST_LINE)] = copy(item, depth + 1)
            return kept
        if isinstance(value, (list, tuple)):
            items: list[Any] = []
            for item in value:
                if left <= 0:
                    items.append(f"(cut: {len(value) - len(items):,} more of {len(value):,})")
                    break
                items.append(copy(item, depth + 1))
            return items
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**400:
            return "(cut: a whole number of more than 400 digits)"
        return value

    return copy(value, 0)
