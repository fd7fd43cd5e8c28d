"""Weights of a model that zoo wrote: each keeps its name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from zoo.models.pretrained.pieces import Piece


def translation(names: Iterable[str], aliases: Mapping[str, str]) -> Iterator[Piece]:
    """One piece for each of the file's `names`, a tied matrix once, under the name that is not an alias."""
    for name in dict.fromkeys(aliases.get(name, name) for name in names):
        yield Piece(name, (name,))
