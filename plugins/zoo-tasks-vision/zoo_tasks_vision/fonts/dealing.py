"""Which fonts each split has: those that cover the text, whole groups held out."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from zoo.errors import InputError
from zoo.tasks import Split
from zoo.tasks.contracts import SPLITS
from zoo_tasks_vision.fonts.faces import Face
from zoo_tasks_vision.fonts.options import FontOptions

_COMPARED = 50
"""The text's commonest letters, by whose pictures one design under two names is known."""
_ALIKE = 0.1
"""Share of them that are the same in it: a variant with other widths keeps its ideographs. Other designs share none."""


@dataclass(frozen=True)
class Dealt:
    """The faces of each split."""

    faces: Mapping[Split, tuple[Face, ...]]
    left_out: tuple[str, ...]
    """Names of faces that lack too many of the text's characters, or draw small letters as capitals."""


def covering(faces: Sequence[Face], text: Counter[str], least: float) -> tuple[list[Face], list[Face]]:
    """The faces that have at least the share `least` of the characters of `text` (with their counts), and the others.

    Those that draw small letters as capitals are among the others: what they draw is not the text.

    White space asks for no glyph.
    """
    counts = {character: count for character, count in text.items() if not character.isspace()}
    total = sum(counts.values())
    enough, others = [], []
    for face in faces:
        covered = sum(count for character, count in counts.items() if character in face.characters)
        fits = covered >= least * total and face.draws_small_letters
        (enough if fits else others).append(face)
    return enough, others


def groups_of(faces: Sequence[Face], text: Counter[str]) -> list[list[Face]]:
    """Faces that belong together: of one family, in one file (a collection has one design for several scripts), or of
    one design under two names, whose pictures of the letters of `text` are the same (IPAGothic and IPAPGothic)."""
    letters = [character for character, _ in text.most_common() if character.isalpha()][:_COMPARED]
    pictures = {id(face): face.pictures(letters) for face in faces}

    def together(one: Face, other: Face) -> bool:
        if one.family == other.family or one.digest == other.digest:
            return True
        first, second = pictures[id(one)], pictures[id(other)]
        both = first.keys() & second.keys()
        return bool(both) and sum(first[letter] == second[letter] for letter in both) >= _ALIKE * len(both)

    groups: list[list[Face]] = []
    for face in faces:
        related = [group for group in groups if any(together(face, other) for other in group)]
        merged = [*(other for group in related for other in group), face]
        groups = [group for group in groups if not any(group is one for one in related)]
        groups.append(merged)
    return groups


def deal(faces: Sequence[Face], text: Counter[str], options: FontOptions) -> Dealt:
    """Raises InputError where no face covers the text, or too few groups do for any to be held out."""
    enough, others = covering(faces, text, options.min_coverage)
    left_out = tuple(face.name for face in others)
    if not enough:
        common = "".join(character for character, _ in text.most_common(8) if not character.isspace())
        raise InputError(
            f"fonts: none of {len(faces)} ({', '.join(left_out[:3])} ...) has {options.min_coverage:.0%} of the text's "
            f"characters (such as {common}): name packages or folders of fonts for them"
        )
    if options.held_out == 0 and not options.dev and not options.test:
        return Dealt(dict.fromkeys(SPLITS, tuple(enough)), left_out)
    groups = sorted(groups_of(enough, text), key=_rank)
    taken: dict[Split, list[list[Face]]] = {"train": [], "dev": [], "test": []}
    free: list[list[Face]] = []
    for group in groups:
        families = {face.family for face in group}
        asked: list[Split] = [split for split in ("dev", "test") if families & set(getattr(options, split))]
        if len(asked) == 2:
            raise InputError(f"fonts: {', '.join(sorted(families))} belong together, but dev and test each name one")
        (taken[asked[0]] if asked else free).append(group)
    wanted = max(1, round(options.held_out * len(groups)))
    for split in ("test", "dev"):
        if not getattr(options, split):
            taken[split], free = free[:wanted], free[wanted:]
    taken["train"] = free
    if not all(taken.values()):
        raise InputError(
            f"fonts: {len(groups)} groups of families cover the text ({_named(groups)}), too few for train, dev and "
            "test to have their own: add fonts, or set held_out to 0 for all splits to have all"
        )
    ordered = {face.name: place for place, face in enumerate(enough)}
    return Dealt(
        {
            split: tuple(sorted((face for group in taken[split] for face in group), key=lambda f: ordered[f.name]))
            for split in SPLITS
        },
        left_out,
    )


def _named(groups: Sequence[Sequence[Face]]) -> str:
    return "; ".join(", ".join(sorted({face.family for face in group})) for group in groups)


def _rank(group: Sequence[Face]) -> str:
    """By a hash of the names, so that no design comes first for its initial."""
    return hashlib.sha256("\0".join(sorted({face.family for face in group})).encode()).hexdigest()
