"""Where the names of marks stand in a chart, so that no name covers a mark or another name."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

_GAP = 4.0
_LINE = 1.25


@dataclass(frozen=True)
class Label:
    """A text at (x, y), its baseline; `anchor` as SVG's text-anchor."""

    text: str
    x: float
    y: float
    anchor: str


@dataclass(frozen=True)
class Box:
    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    def within(self, other: Box) -> bool:
        return (
            other.left <= self.left
            and self.right <= other.right
            and other.top <= self.top
            and self.bottom <= other.bottom
        )


def text_width(text: str, size: float) -> float:
    """The width that `text` needs at most in a sans-serif face of `size` pixels, in pixels."""
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return size * (wide + 0.6 * (len(text) - wide))


def shortened(text: str, most: int = 26) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def placed(
    names: Sequence[str | None],
    marks: Sequence[tuple[float, float, float]],
    frame: Box,
    lines: Sequence[Box] = (),
    size: float = 12.0,
) -> list[Label | None]:
    """One label for each mark (x, y, radius), earlier ones first; None where it has no name or there is no room.

    `lines` are crossed only where there is no other place.
    """
    taken = [Box(x - radius, y - radius, x + radius, y + radius) for x, y, radius in marks]
    found: list[Label | None] = []
    for name, (x, y, radius) in zip(names, marks, strict=True):
        free = [
            (any(box.meets(line) for line in lines), index, label, box)
            for index, (label, box) in enumerate(() if name is None else _candidates(name, x, y, radius, size))
            if box.within(frame) and not any(box.meets(other) for other in taken)
        ]
        if not free:
            found.append(None)
            continue
        _, _, label, box = min(free, key=lambda place: place[:2])
        taken.append(box)
        found.append(label)
    return found


def _candidates(name: str, x: float, y: float, radius: float, size: float) -> list[tuple[Label, Box]]:
    """Right, left, above, below, then the corners."""
    text = shortened(name)
    width, height = text_width(text, size), size * _LINE
    side, corner = radius + _GAP, 0.7 * radius + _GAP
    places = [
        (x + side, y - height / 2, "start"),
        (x - side - width, y - height / 2, "end"),
        (x - width / 2, y - side - height, "middle"),
        (x - width / 2, y + side, "middle"),
        (x + corner, y - corner - height, "start"),
        (x + corner, y + corner, "start"),
        (x - corner - width, y - corner - height, "end"),
        (x - corner - width, y + corner, "end"),
    ]
    found = []
    for left, top, anchor in places:
        at = {"start": left, "end": left + width, "middle": left + width / 2}[anchor]
        box = Box(left, top, left + width, top + height)
        found.append((Label(text, at, top + 0.98 * size, anchor), box))
    return found
