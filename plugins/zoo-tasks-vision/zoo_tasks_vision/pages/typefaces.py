"""The font that a line of a PDF is set in: the family, whatever the style, the size and the subset that is embedded."""

from __future__ import annotations

import html
import re
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Literal

from zoo.tasks import Box

Seen = Literal["seen", "unseen", "unknown"]

_SUBSET = re.compile(r"^[A-Z]{6}\+")
_STYLE = re.compile(
    r"(?:[-,_ ]?(?:Bold|Italic|Oblique|Regular)|(?:PS)?MT|(?<=[a-z])PS|Slant_\d+|[-,_ ]|[-,_ ](?:Roman|Medium|Medi|"
    r"MediItal|Regu|ReguItal|(?:Extra)?Light|Book|Black|Heavy|Semibold|Demi|It|Identity-[HV]))$"
)
SYMBOLS = "ComputerModernSymbols"
_SYMBOLS = re.compile(r"^CM(?:B?SY|MIB?|EX)\d{1,2}$")
"""Of formulas, and the bullets of lists in whatever font: these set no text."""
_COMPUTER_MODERN = re.compile(r"^(?:CM[A-Z]{1,6}\d{1,2}|(?:SF|EC)[A-Z]{2,4}\d{3,4}|LM[A-Z][A-Za-z]+\d{1,2}(?:-.*)?)$")
"""Knuth's faces, which TeX names by style and size (CMR10, CMBX12), and those drawn after them for more characters:
cm-super (SFRM1000), EC and Latin Modern (LMRoman10-Regular)."""
_TAG = re.compile(
    rb'<page number="(?P<page>\d+)"[^>]*? height="(?P<tall>\d+)"|'
    rb'<fontspec id="(?P<id>\d+)"[^>]*? family="(?P<family>[^"]*)"|'
    rb'<text top="(?P<top>-?\d+)" left="(?P<left>-?\d+)" width="(?P<width>\d+)" height="(?P<height>\d+)" '
    rb'font="(?P<font>\d+)"'
)


def family_of(name: str) -> str:
    """The family of a font's name in a PDF: ``LiberationSerif`` of ``DQMPNC+LiberationSerif-BoldItalic``.

    All of Computer Modern is one family, but for its symbols, which are another.
    """
    bare = _SUBSET.sub("", name).strip()
    if _SYMBOLS.match(bare):
        return SYMBOLS
    if _COMPUTER_MODERN.match(bare):
        return "ComputerModern"
    while (shorter := _STYLE.sub("", bare)) and shorter != bare:
        bare = shorter
    return bare


@dataclass(frozen=True)
class Told:
    """What pdftohtml says of a page: stretches of text in one font, from top to bottom."""

    height: int
    """Of the page, in the unit of what follows."""
    middles: list[float]
    """Of each stretch, from the upper edge."""
    stretches: list[tuple[int, int, str]]
    """Left end, right end and family."""


def told_by(document: bytes) -> dict[int, Told]:
    """The pages of what ``pdftohtml -xml`` writes, by their numbers.

    Only tags that stand alone are looked at: those within a text need not be well nested.
    """
    families: dict[bytes, str] = {}
    pages: dict[int, tuple[int, list[tuple[float, tuple[int, int, str]]]]] = {}
    found: list[tuple[float, tuple[int, int, str]]] = []
    for tag in _TAG.finditer(document):
        if tag["page"]:
            found = []
            pages[int(tag["page"])] = int(tag["tall"]), found
        elif tag["id"]:
            families[tag["id"]] = family_of(html.unescape(tag["family"].decode(errors="replace")))
        else:
            left, family = int(tag["left"]), families.get(tag["font"], "")
            found.append((int(tag["top"]) + int(tag["height"]) / 2, (left, left + int(tag["width"]), family)))
    told = {}
    for number, (height, stretches) in pages.items():
        stretches.sort()
        told[number] = Told(height, [middle for middle, _ in stretches], [stretch for _, stretch in stretches])
    return told


def font_of(box: Box, height: float, told: Told | None) -> str:
    """The family that most of a line's width is set in; `box` is in points, as `height` of its page. Empty where
    nothing is told of it."""
    if told is None or height <= 0:
        return ""
    scale = told.height / height
    left, top, right, bottom = (edge * scale for edge in box)
    widths: defaultdict[str, float] = defaultdict(float)
    for start, end, family in told.stretches[bisect_left(told.middles, top) : bisect_right(told.middles, bottom)]:
        shared = min(end, right) - max(start, left)
        if family and shared > 0:
            widths[family] += shared
    return max(widths, key=lambda family: (widths[family], family), default="")


def seen_in(train: Set[str], fonts: Iterable[str]) -> Seen:
    """Whether at least half of the lines with these `fonts` are set in fonts of training."""
    known = [font for font in fonts if font]
    if not known:
        return "unknown"
    return "seen" if 2 * sum(font in train for font in known) >= len(known) else "unseen"


def main_fonts(fonts: Iterable[str], least: float) -> set[str]:
    """The families, but symbols, that at least a share `least` of the lines is set in."""
    counts = Counter(font for font in fonts if font not in {"", SYMBOLS})
    total = sum(counts.values())
    return {font for font, count in counts.items() if count >= least * total}


def share_seen(fonts: Mapping[str, int], train: Set[str]) -> float | None:
    """The share of lines (by their families' counts) that is set in fonts of training; None where nothing is known."""
    known = {font: count for font, count in fonts.items() if font}
    total = sum(known.values())
    return round(sum(count for font, count in known.items() if font in train) / total, 4) if total else None
