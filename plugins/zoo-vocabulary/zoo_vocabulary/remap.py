"""Which token has which id, before and after."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Remap:
    """The rows of a vocabulary after surgery. Old tokens keep their order, but for those that must come first."""

    rows: tuple[int | None, ...]
    """For each new id the old one; None where the token is new."""
    old_size: int
    """Rows there were."""

    @classmethod
    def pruned(cls, kept: Iterable[int], old_size: int, first: Sequence[int] = ()) -> Remap:
        """Only the rows of `kept`; those of `first` before all others, where a place of their own is asked for."""
        return cls((*first, *sorted(set(kept).difference(first))), old_size)

    @classmethod
    def extended(cls, old_size: int, place: int, count: int) -> Remap:
        """`count` new rows before the old row `place`; what stands there and behind moves up."""
        return cls((*range(place), *[None] * count, *range(place, old_size)), old_size)

    @property
    def size(self) -> int:
        """Rows there are."""
        return len(self.rows)

    @cached_property
    def new_ids(self) -> dict[int, int]:
        """Old id -> new id, of what is kept."""
        return {old: new for new, old in enumerate(self.rows) if old is not None}

    @cached_property
    def kept(self) -> list[int]:
        """Old ids that are kept, in the order of their new ones."""
        return [old for old in self.rows if old is not None]

    @cached_property
    def places(self) -> list[int]:
        """New ids of what is kept, in the order of `kept`."""
        return [new for new, old in enumerate(self.rows) if old is not None]

    @cached_property
    def fresh(self) -> list[int]:
        """New ids of new tokens, ascending."""
        return [new for new, old in enumerate(self.rows) if old is None]
