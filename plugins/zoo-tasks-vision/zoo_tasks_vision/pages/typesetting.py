"""Pages set by reportlab, whose lines have known boxes, as images by pypdfium2."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.random import PCG64, Generator, SeedSequence
from numpy.typing import NDArray

from zoo.errors import ZooError
from zoo.tasks import Box, Split
from zoo_tasks_vision.fonts.faces import Face
from zoo_tasks_vision.pages.options import GeneratedPagesOptions
from zoo_tasks_vision.rendering.texts import Texts

POINTS = 72
"""In an inch."""
_SHEETS = ((595.3, 841.9), (612.0, 792.0), (419.5, 595.3), (841.9, 595.3))
"""A4, US letter, A5, and A4 on its side, in points."""
_STREAMS = {"train": 10, "dev": 11, "test": 12}
_ENOUGH = 8
"""Characters in one line from which a column is wide enough for running text."""


@dataclass(frozen=True)
class SetLine:
    """A line of a page: its text, and its box in points from the upper left corner."""

    text: str
    box: Box


@dataclass
class SetPage:
    """A page as it is being set."""

    width: float
    height: float
    lines: list[SetLine] = field(default_factory=list)
    drawn: list[tuple[str, float, float, float, str]] = field(default_factory=list)
    """Font, size, left end and baseline (from below) of each, and its text."""


class Font:
    """A face as reportlab has it."""

    def __init__(self, face: Face) -> None:
        """Raises ZooError where the outlines are not TrueType's."""
        from reportlab.pdfbase import pdfmetrics
        from reportlab.pdfbase.ttfonts import TTFError, TTFont

        self.face = face
        self.name = f"zoo-{face.digest[:16]}-{face.index}"
        if self.name not in pdfmetrics.getRegisteredFontNames():
            try:
                pdfmetrics.registerFont(TTFont(self.name, str(face.path), subfontIndex=face.index))
            except TTFError as error:
                raise ZooError(f"font {face.name} cannot be set with: {error}") from error
        self.ascent, self.descent = pdfmetrics.getAscentDescent(self.name, 1.0)
        self._metrics = pdfmetrics.getFont(self.name)

    def width(self, text: str, size: float) -> float:
        return float(self._metrics.stringWidth(text, size))


def settable(faces: Sequence[Face]) -> dict[str, Font]:
    """The faces that reportlab can set with, by name."""
    found = {}
    for face in faces:
        try:
            found[face.name] = Font(face)
        except ZooError:
            continue
    return found


class Typesetter:
    """Sets page `number` of a split: the same one in any order and any process."""

    def __init__(self, options: GeneratedPagesOptions, fonts: dict[str, Font]) -> None:
        self.options = options
        self._fonts = fonts

    def page(self, split: Split, number: int, texts: Texts) -> tuple[SetPage, int, str]:
        """The page, its resolution in dots per inch, and the name of its font."""
        options = self.options
        draw = Generator(PCG64(SeedSequence([options.seed, _STREAMS[split], number])))
        face = texts.faces[int(draw.integers(len(texts.faces)))]
        font = self._fonts[face.name]
        page = SetPage(*_SHEETS[int(draw.integers(len(_SHEETS)))])
        dpi = options.dpi[int(draw.integers(len(options.dpi)))]
        margin = page.width * draw.uniform(0.05, 0.14)
        size = draw.uniform(*options.font_sizes)
        top, bottom = page.height - margin, margin
        source = self._texts(draw, texts, face)
        if draw.random() < 0.6:
            large = size * draw.uniform(1.4, 2.4)
            top = self._running(page, font, large, next(source), margin, top, page.width - 2 * margin, bottom, 1.2, 2)
            top -= large
        if draw.random() < 0.5:
            # A page number: a box of a few pixels.
            label, small = str(int(draw.integers(1, 999))), size * 0.8
            if face.characters.issuperset(label):
                self._put(page, font, small, (page.width - font.width(label, small)) / 2, margin * 0.5, label)
        columns = 1 + int(draw.integers(options.columns))
        gap = size * draw.uniform(1.2, 2.5)
        width = (page.width - 2 * margin - gap * (columns - 1)) / columns
        if width < _ENOUGH * size:
            columns, width = 1, page.width - 2 * margin
        leading = draw.uniform(1.15, 1.7)
        for column in range(columns):
            self._column(draw, page, font, size, source, margin + column * (width + gap), top, width, bottom, leading)
        return page, dpi, face.name

    @staticmethod
    def _texts(draw: Generator, texts: Texts, face: Face) -> Iterator[str]:
        """Texts that the face can draw, from a drawn one on."""
        place, missed = int(draw.integers(len(texts))), 0
        while True:
            text = texts.texts[place]
            place = (place + 1) % len(texts)
            if face.characters.issuperset(set(text) - {" "}):
                missed = 0
                yield text
            elif (missed := missed + 1) > len(texts):
                raise ZooError(f"font {face.name} can draw none of the texts")

    def _column(
        self,
        draw: Generator,
        page: SetPage,
        font: Font,
        size: float,
        source: Iterator[str],
        left: float,
        top: float,
        width: float,
        bottom: float,
        leading: float,
    ) -> None:
        """Paragraphs, headings and tables until the column is full."""
        while top - size * leading > bottom:
            kind = draw.random()
            if kind < 0.12:
                top = self._running(page, font, size * 1.25, next(source), left, top - size, width, bottom, 1.2, 1)
            elif kind < 0.24 and width > 16 * size:
                top = self._table(draw, page, font, size, source, left, top, width, bottom, leading)
            else:
                parts = [next(source) for _ in range(1 + int(draw.integers(6)))]
                top = self._running(page, font, size, " ".join(parts), left, top, width, bottom, leading, 40)
            top -= size * draw.uniform(0.3, 1.2)

    def _running(
        self,
        page: SetPage,
        font: Font,
        size: float,
        text: str,
        left: float,
        top: float,
        width: float,
        bottom: float,
        leading: float,
        most: int,
    ) -> float:
        """Set at most `most` lines of the text; returns where the next line may begin."""
        for line in broken(text, lambda part: font.width(part, size), width)[:most]:
            if top - size * leading < bottom:
                break
            top -= size * leading
            self._put(page, font, size, left, top - font.descent * size, line)
        return top

    def _table(
        self,
        draw: Generator,
        page: SetPage,
        font: Font,
        size: float,
        source: Iterator[str],
        left: float,
        top: float,
        width: float,
        bottom: float,
        leading: float,
    ) -> float:
        """Rows of short cells."""
        cells = 2 + int(draw.integers(4))
        for _ in range(2 + int(draw.integers(6))):
            if top - size * leading < bottom:
                break
            top -= size * leading
            for cell in range(cells):
                room = width / cells * 0.85
                parts = broken(next(source), lambda part: font.width(part, size), room * draw.uniform(0.2, 1.0))
                if parts and font.width(parts[0], size) <= room:
                    self._put(page, font, size, left + width / cells * cell, top - font.descent * size, parts[0])
        return top

    @staticmethod
    def _put(page: SetPage, font: Font, size: float, left: float, baseline: float, text: str) -> None:
        """`baseline` counts from below, as a PDF does; the box from above."""
        right = left + font.width(text, size)
        upper = page.height - (baseline + font.ascent * size)
        lower = page.height - (baseline + font.descent * size)
        page.drawn.append((font.name, size, left, baseline, text))
        page.lines.append(SetLine(text, (left, upper, right, lower)))


def broken(text: str, width: Any, room: float) -> list[str]:
    """The text in lines of at most `room`, cut at spaces, and within words (ideographs) where none is in reach.

    A single character that is wider than `room` is a line.
    """
    lines = []
    rest = text.strip()
    while rest:
        low, high = 1, len(rest)
        if width(rest) > room:
            while high - low > 1:
                middle = (low + high) // 2
                if width(rest[:middle]) <= room:
                    low = middle
                else:
                    high = middle
        else:
            low = len(rest)
        cut = rest[:low]
        if low < len(rest) and rest[low] != " " and " " in cut:
            cut = cut[: cut.rindex(" ")]
        lines.append(cut.strip())
        rest = rest[len(cut) :].strip()
    return [line for line in lines if line]


def pdf_of(page: SetPage) -> bytes:
    """The page as a PDF: the same bytes each time."""
    from reportlab.pdfgen.canvas import Canvas

    stream = io.BytesIO()
    canvas = Canvas(stream, pagesize=(page.width, page.height), invariant=1)
    for name, size, left, baseline, text in page.drawn:
        canvas.setFont(name, size)
        canvas.drawString(left, baseline, text)
    canvas.showPage()
    canvas.save()
    return stream.getvalue()


def rasterised(pdf: bytes, dpi: int) -> NDArray[np.uint8]:
    """The first page ``[H, W]``, grey."""
    from pypdfium2 import PdfDocument

    document = PdfDocument(pdf)
    try:
        bitmap = document[0].render(scale=dpi / POINTS, grayscale=True)
        return np.array(bitmap.to_numpy()).reshape(bitmap.height, bitmap.width)
    finally:
        document.close()


def clipped(box: Box, scale: float, height: int, width: int) -> Box | None:
    """A box in points as one in pixels of an image; None where nothing of it is in the image."""
    left, top = max(0.0, box[0] * scale), max(0.0, box[1] * scale)
    right, bottom = min(float(width), box[2] * scale), min(float(height), box[3] * scale)
    if right <= left or bottom <= top:
        return None
    return round(left, 2), round(top, 2), round(right, 2), round(bottom, 2)
