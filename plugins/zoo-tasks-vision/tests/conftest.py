"""Fonts made here, and lines rendered with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

LATIN = [chr(code) for code in range(0x20, 0x7F)]


def _glyph(code: int, bar: int) -> Any:
    """A picture that no other character has: a row of bars that spell the code, each `bar` units wide."""
    from fontTools.pens.ttGlyphPen import TTGlyphPen

    pen = TTGlyphPen(None)
    for bit in range(12):
        if code >> bit & 1 or bit == 11:
            left, bottom = 60 + 120 * (bit % 4), 250 * (bit // 4)
            pen.moveTo((left, bottom))
            for point in ((left, bottom + 200), (left + bar, bottom + 200), (left + bar, bottom)):
                pen.lineTo(point)
            pen.closePath()
    return pen.glyph()


def _empty() -> Any:
    from fontTools.pens.ttGlyphPen import TTGlyphPen

    return TTGlyphPen(None).glyph()


def _font(
    path: Path,
    family: str,
    style: str = "Regular",
    characters: Sequence[str] = LATIN,
    *,
    bar: int = 90,
    capitals_only: bool = False,
    bars: Mapping[str, int] = MappingProxyType({}),
    blank: str = " ",
    outlines: str = "TrueType",
) -> Path:
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.t2CharStringPen import T2CharStringPen

    builder = FontBuilder(1000, isTTF=outlines == "TrueType")
    names = {character: f"u{ord(character):04X}" for character in characters}
    builder.setupGlyphOrder([".notdef", *names.values()])
    builder.setupCharacterMap({ord(character): name for character, name in names.items()})
    glyphs = {".notdef": _empty()}
    for character, name in names.items():
        code = ord(character.upper()[0] if capitals_only else character)
        glyphs[name] = _empty() if character in blank else _glyph(code, bars.get(character, bar))
    if outlines == "TrueType":
        builder.setupGlyf(glyphs)
    else:
        pens = {name: T2CharStringPen(560, None) for name in glyphs}
        for name, pen in pens.items():
            glyphs[name].draw(pen, None)
        strings = {name: pen.getCharString() for name, pen in pens.items()}
        builder.setupCFF(family.replace(" ", ""), {"FullName": family}, strings, {})
    builder.setupHorizontalMetrics(dict.fromkeys(glyphs, (560, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": family, "styleName": style})
    builder.setupOS2(sTypoAscender=800, sTypoDescender=-200, usWinAscent=800, usWinDescent=200)
    builder.setupPost()
    path.parent.mkdir(parents=True, exist_ok=True)
    builder.save(path)
    return path


@pytest.fixture(scope="session")
def make_font() -> Callable[..., Path]:
    """``make_font(path, family, style, characters)``: a font whose letters are rows of bars, of which `bars` has the
    widths of some, but for those of `blank`; `outlines` are ``TrueType`` or ``CFF``."""
    return _font


@pytest.fixture(scope="session")
def fonts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three families, one of them with two styles."""
    folder = tmp_path_factory.mktemp("fonts")
    _font(folder / "thin.ttf", "Thin Bars", bar=40)
    _font(folder / "wide.ttf", "Wide Bars", bar=110)
    _font(folder / "mid.ttf", "Middle Bars", bar=80)
    _font(folder / "deep" / "mid-bold.ttf", "Middle Bars", "Bold", bar=100)
    return folder
