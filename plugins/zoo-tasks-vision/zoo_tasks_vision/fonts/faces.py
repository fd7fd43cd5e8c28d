"""What a font file holds: its faces, and the characters that each can draw."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from zoo_tasks_vision.fonts.blank import blank_glyphs

ENDINGS = (".ttf", ".otf", ".ttc", ".otc")
_DRAWN = ("glyf", "CFF ", "CFF2")
"""Tables of outlines: a font without one has pictures of some sizes only."""
_TELLING = "aegnr"
"""Small letters whose capitals look otherwise in every font that has both."""
_SIZE = 48
_BROKEN = Exception
"""What reading a font file raises that is not whole: fontTools lets through whatever its tables' readers meet."""


@dataclass(frozen=True)
class Face:
    """One font of a file."""

    path: Path
    index: int
    """Which font of a collection."""
    family: str
    style: str
    digest: str
    """SHA-256 of the file."""

    @property
    def name(self) -> str:
        return f"{self.family} {self.style}"

    @cached_property
    def characters(self) -> frozenset[str]:
        """The characters that it maps to a glyph which shows them: white space may be blank, and no other. None where
        its tables are broken."""
        from fontTools.ttLib import TTFont

        try:
            with TTFont(self.path, fontNumber=self.index, lazy=True) as font:
                glyphs = font.getBestCmap() or {}
                blank = blank_glyphs(font, set(glyphs.values()))
        except _BROKEN:
            return frozenset()
        return frozenset(
            chr(code)
            for code, glyph in glyphs.items()
            if glyph != ".notdef" and (glyph not in blank or chr(code).isspace())
        )

    @cached_property
    def draws_small_letters(self) -> bool:
        """Whether small letters look otherwise than capitals; true where it has neither."""
        if not self.characters.issuperset(_TELLING + _TELLING.upper()):
            return True
        small, capitals = self.pictures(_TELLING), self.pictures(_TELLING.upper())
        same = [small[letter] == capitals[letter.upper()] for letter in _TELLING]
        return sum(same) < len(_TELLING) / 2

    def pictures(self, letters: Sequence[str]) -> dict[str, bytes]:
        """What it draws for each of the letters that it has, without where it stands: an image's width and pixels."""
        from PIL import ImageFont

        known = [letter for letter in letters if letter in self.characters]
        if not known:
            return {}  # it may be broken
        font = ImageFont.truetype(self.path, _SIZE, index=self.index, layout_engine=ImageFont.Layout.BASIC)
        masks = {letter: font.getmask(letter) for letter in known}
        return {letter: b"%d " % mask.size[0] + bytes(mask) for letter, mask in masks.items()}


def faces_of(path: Path) -> Iterator[Face]:
    """The faces of a file that have outlines and characters; none where it is no font that can be read."""
    from fontTools.ttLib import TTCollection, TTFont

    logging.getLogger("fontTools").setLevel(logging.ERROR)  # it tells of every oddity of a timestamp
    digest = _digest(path)
    try:
        if path.suffix.lower() in {".ttc", ".otc"}:
            with TTCollection(path, lazy=True) as collection:
                fonts = list(collection.fonts)
                found = [_face(font, path, index, digest) for index, font in enumerate(fonts)]
        else:
            with TTFont(path, lazy=True) as font:
                found = [_face(font, path, 0, digest)]
    except _BROKEN:
        return
    yield from (face for face in found if face is not None)


def _face(font: object, path: Path, index: int, digest: str) -> Face | None:
    tables, names = font, font["name"]  # type: ignore[index]
    if not any(table in tables for table in _DRAWN) or "cmap" not in tables:  # type: ignore[operator]
        return None
    # 16 and 17 name the family as designers see it; 1 and 2 allow four styles a family.
    family = names.getDebugName(16) or names.getDebugName(1)
    style = names.getDebugName(17) or names.getDebugName(2) or "Regular"
    return Face(path, index, family.strip(), style.strip(), digest) if family and family.strip() else None


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
