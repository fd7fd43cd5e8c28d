"""Which optimizer steps were clipped."""

from __future__ import annotations

from collections import Counter
from typing import Any

RANGES = 256
"""No more ranges of steps are kept than this: a run's file stays readable. What comes after is counted."""


class ClippedSteps:
    """Takes in one step after the other; says how many were clipped, and which."""

    def __init__(self) -> None:
        self._steps = 0
        self._counts: Counter[str] = Counter()  # "" for all gradients together, else a group's name
        self._ranges: list[list[int]] = []  # first and last step
        self._left_out = False

    def add(self, step: int, clipped: bool, groups: dict[str, bool]) -> None:
        """Optimizer step `step`, counted from 1; `groups` are those that are clipped each on its own."""
        self._steps += 1
        self._counts.update({name: int(hit) for name, hit in {"": clipped, **groups}.items()})
        if not clipped or self._left_out:
            return
        if self._ranges and self._ranges[-1][1] == step - 1:
            self._ranges[-1][1] = step
        elif len(self._ranges) < RANGES:
            self._ranges.append([step, step])
        else:
            self._left_out = True

    def facts(self) -> dict[str, Any]:
        """`steps` seen and `clipped`; the `ranges` ``[first, last]`` of the clipped ones, and where there are too many
        of these to be kept the step that they are complete to; clipped steps by group, where there are groups.
        """
        facts: dict[str, Any] = {"steps": self._steps, "clipped": self._counts[""], "ranges": self._ranges}
        if self._left_out:
            facts["ranges_complete_to"] = self._ranges[-1][1]
        groups = {name: count for name, count in self._counts.items() if name}
        return {**facts, "clipped_by_group": groups} if groups else facts

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {
            "steps": self._steps,
            "counts": dict(self._counts),
            "ranges": [list(item) for item in self._ranges],
            "left_out": self._left_out,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        self._steps, self._left_out = state["steps"], state["left_out"]
        self._counts = Counter(state["counts"])
        self._ranges = [list(item) for item in state["ranges"]]
