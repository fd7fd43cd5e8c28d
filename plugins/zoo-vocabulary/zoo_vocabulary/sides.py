"""The vocabularies of a model: one that both sides share, or one of the source's own and one of the target's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from zoo.errors import InputError
from zoo.tasks.contracts import Side
from zoo_vocabulary.remap import Remap
from zoo_vocabulary.segmentation import Segmenter
from zoo_vocabulary.tokenizer_files import TokenizerFiles
from zoo_vocabulary.weights import Fill

Of = Side | None
"""Whose vocabulary it is; None for the one that both sides share."""


@dataclass(frozen=True)
class Vocabulary:
    """One vocabulary of a saved model."""

    side: Of
    files: TokenizerFiles
    size: int
    """Rows; some may have no token."""
    named: frozenset[int]
    """Ids that the configuration gives a role on this side."""
    folder: str = ""
    """The folder of its tokenizer, within the model's."""

    @property
    def token_ids(self) -> list[int]:
        """The ids that have a token, ascending."""
        return sorted(set(self.files.tokens.values()))


@dataclass(frozen=True)
class Change:
    """What surgery makes of one vocabulary."""

    remap: Remap
    fill: Fill | None = None
    """Gives the rows of new tokens; None where there are none."""
    added: tuple[str, ...] = ()
    """The names of the fresh rows of `remap`, in order."""
    grown: Segmenter | None = None
    """The model with the new tokens."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the report says of it."""


def chosen(vocabularies: Sequence[Vocabulary], side: Of) -> list[Vocabulary]:
    """Those that are operated on: all, or that of `side`. Raises InputError where the sides share one."""
    if side is None:
        return list(vocabularies)
    found = [vocabulary for vocabulary in vocabularies if vocabulary.side == side]
    if not found:
        raise InputError("source and target share a vocabulary: leave it out", where="--side")
    return found


def alone(vocabularies: Sequence[Vocabulary], option: str) -> Vocabulary:
    """The only one of those that are operated on. Raises InputError where a list of tokens could be of either."""
    if len(vocabularies) > 1:
        raise InputError(
            "source and target have vocabularies of their own, and a list of tokens is about one: say which with "
            "--side source or --side target",
            where=option,
        )
    return vocabularies[0]


def pruned(vocabularies: Sequence[Vocabulary], kept: Mapping[Of, Iterable[int]]) -> dict[Of, Remap]:
    """The new numbers of each vocabulary that keeps only `kept`; one that is not among these keeps all.

    An id that stands for something on both sides (a configuration has one ``pad_token_id``) has to be the same on both
    afterwards: where that would not come by itself these come first.
    """
    rows = {of.side: list(kept[of.side]) if of.side in kept else range(of.size) for of in vocabularies}
    found = {of.side: Remap.pruned(rows[of.side], of.size) for of in vocabularies}
    common = sorted(_common(vocabularies))
    if _disagree(found, common):
        found = {of.side: Remap.pruned(rows[of.side], of.size, common) for of in vocabularies}
    return found


def extended(vocabularies: Sequence[Vocabulary], counts: Mapping[Of, int]) -> dict[Of, Remap]:
    """The new numbers of each vocabulary that gets that many new tokens.

    Raises InputError where an id that both sides have in common would no longer be the same on both.
    """
    found = {of.side: Remap.extended(of.size, of.files.place, counts.get(of.side, 0)) for of in vocabularies}
    apart = _disagree(found, sorted(_common(vocabularies)))
    if apart:
        raise InputError(
            f"the id {apart[0]} has a role on both sides, and stands behind the new tokens of one: give the other as "
            "many with the same command"
        )
    return found


def _common(vocabularies: Sequence[Vocabulary]) -> set[int]:
    """Ids that mean something on both sides."""
    if len(vocabularies) < 2:
        return set()
    one, other = vocabularies
    numbered = {
        identity
        for name, identity in one.files.numbered_once.items()
        if other.files.numbered_once.get(name) == identity
    }
    return numbered | {identity for identity in one.named & other.named if identity < min(one.size, other.size)}


def _disagree(remaps: Mapping[Of, Remap], common: Iterable[int]) -> list[int]:
    return [identity for identity in common if len({remap.new_ids[identity] for remap in remaps.values()}) > 1]
