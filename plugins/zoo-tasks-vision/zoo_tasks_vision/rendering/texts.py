"""Texts of a corpus as they can be drawn: by which fonts, and how much of them fills a line."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from zoo.tasks import Pair
from zoo.tasks.alignment import wide
from zoo_tasks_vision.fonts.faces import Face

_SHAPED = {"R", "AL", "AN", "RLE", "RLO", "RLI", "NSM"}
"""Bidirectional classes of characters that are not drawn one after the other from left to right."""


def drawable(text: str) -> str | None:
    """The text in one line, composed (NFC); None where an image of it would not show it.

    That is where letters change shape or order by their neighbours, and where a character has no picture (a soft
    hyphen, a space without width) or one of each font's own (private use).
    """
    line = " ".join(unicodedata.normalize("NFC", text).split())
    for character in set(line):
        if unicodedata.bidirectional(character) in _SHAPED or unicodedata.category(character)[0] in {"M", "C"}:
            return None
    return line or None


class Texts:
    """The texts of one split that the split's fonts can draw, with their documents."""

    def __init__(self, pairs: Sequence[Pair], language: str, faces: Sequence[Face], most: int) -> None:
        """At most `most` of them, spread evenly over the split."""
        step = max(1, len(pairs) // most) if most else 1
        self.faces = faces
        self.texts: list[str] = []
        self.documents: list[str | None] = []
        self.dropped = 0
        self._wide: list[bool] = []
        for place in range(0, len(pairs), step):
            pair = pairs[place]
            text = drawable(pair.texts[language])
            if text is None or not any(face.characters.issuperset(set(text) - {" "}) for face in faces):
                self.dropped += 1
                continue
            self.texts.append(text)
            self.documents.append(pair.document)
            self._wide.append(wide(text))

    def __len__(self) -> int:
        return len(self.texts)

    def joined(self, start: int, characters: int) -> str:
        """The text at `start` and as many after it as make `characters`, from the beginning again after the last."""
        parts, length = [self.texts[start]], len(self.texts[start])
        place = start
        while length < characters:
            place = (place + 1) % len(self.texts)
            if not self._wide[place]:
                parts.append(" ")
            parts.append(self.texts[place])
            length += len(self.texts[place]) + 1
        return "".join(parts)[:characters]
