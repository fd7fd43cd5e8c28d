"""No positions at all."""

from __future__ import annotations

from zoo.models.contracts import Position


class NoPosition(Position):
    """The identity everywhere. A causal decoder still learns order from its mask (Haviv et al. 2022)."""

    shift_invariant = True
