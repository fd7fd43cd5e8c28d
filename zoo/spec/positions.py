"""What a spec may know of a position scheme before it is built: its traits, and those of the schemes it is made of."""

from __future__ import annotations

from collections.abc import Iterator

from zoo.spec.options import Chosen

MEMBERS = "members"
"""The value of a trait that is as the schemes in the options have it."""


def position_places(chosen: Chosen) -> frozenset[str]:
    """Where a scheme acts: on the embeddings (``embedding``), in attention (``attention``), both or neither."""
    places: set[str] = set()
    for scheme in _leaves(chosen, "where"):
        where = scheme.component.traits.get("where", "none")
        places |= {"embedding", "attention"} if where == "both" else {where}
    return frozenset(places - {"none"})


def rotates_cache(chosen: Chosen) -> bool:
    """Whether the keys and values that are cached depend on their positions."""
    return any(scheme.component.traits.get("cache") == "rotated" for scheme in _leaves(chosen, "cache"))


def _leaves(chosen: Chosen, trait: str) -> Iterator[Chosen]:
    if chosen.component.traits.get(trait) != MEMBERS:
        yield chosen
        return
    for name in type(chosen.options).model_fields:
        value = getattr(chosen.options, name)
        for item in value if isinstance(value, (list, tuple)) else (value,):
            if isinstance(item, Chosen) and item.kind == chosen.kind:
                yield from _leaves(item, trait)
