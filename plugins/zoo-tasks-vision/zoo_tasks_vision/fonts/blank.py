"""Which glyphs of a font show nothing."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

_SHORT = 16
"""Bytes of the longest charstring that is looked into: one that draws nothing has a width and an end. To look into all
of a font of ideographs takes seconds."""


def blank_glyphs(font: Any, names: Iterable[str]) -> set[str]:
    """Those of the glyphs `names` of a fontTools font that have no outline."""
    if "glyf" in font:
        return _without_contours(font, names)
    table = font["CFF " if "CFF " in font else "CFF2"]
    strings = table.cff.topDictIndex[0].CharStrings
    return {name for name in names if name in strings and _draws_nothing(strings[name])}


def _without_contours(font: Any, names: Iterable[str]) -> set[str]:
    places, outlines = font["loca"].locations, font.reader["glyf"]
    found = set()
    for name in names:
        number = font.getGlyphID(name)
        start, end = places[number], places[number + 1]
        if end == start or struct.unpack_from(">h", outlines, start)[0] == 0:
            found.add(name)
    return found


def _draws_nothing(string: Any) -> bool:
    from fontTools.pens.recordingPen import RecordingPen

    if string.bytecode is None or len(string.bytecode) > _SHORT:
        return False
    pen = RecordingPen()
    string.draw(pen)
    return not any(name in {"lineTo", "curveTo", "qCurveTo"} for name, _ in pen.value)
