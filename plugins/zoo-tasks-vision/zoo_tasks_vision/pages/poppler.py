"""Lines and images of PDFs by poppler's pdftotext, pdftohtml and pdftoppm."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.parsers import expat

import numpy as np
from numpy.typing import NDArray

from zoo.errors import ZooError
from zoo.tasks import Box
from zoo_tasks_vision.pages.typefaces import font_of, told_by

TOOLS = ("pdftotext", "pdftoppm", "pdftohtml")
INSTALL = "apt install poppler-utils poppler-data"
_DATA = ("../share/poppler", "../../usr/share/poppler")
"""Where poppler-data lies, seen from the folder of the tools: without it East Asian text is lost without a word."""
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")
SECONDS_OF_A_FILE, SECONDS_OF_A_PAGE = 1800.0, 300.0
"""What a tool may take: a thousand pages are read in ten, on a machine with nothing else to do."""
_ZOOM = 4
"""pdftohtml writes whole numbers: of quarters of a point."""


@dataclass(frozen=True)
class PdfLine:
    """A line of text, and its box in points from the upper left corner of its page."""

    text: str
    box: Box
    font: str = ""
    """The family that most of it is set in; empty where the file does not say."""


@dataclass(frozen=True)
class PdfPage:
    """The size of a page in points, and its lines."""

    number: int
    """From 1."""
    width: float
    height: float
    lines: tuple[PdfLine, ...]


def require() -> None:
    """Raise ZooError, saying what to install, where a tool or the data for East Asian text is missing."""
    for tool in TOOLS:
        if shutil.which(tool) is None:
            raise ZooError(
                f"'{tool}' of poppler is not on this machine: {INSTALL}; or use task 'generated-pages' or "
                "'rendered-lines', which need none"
            )
    folder = Path(str(shutil.which(TOOLS[0]))).parent
    if not any((folder / place / "cMap").is_dir() for place in _DATA):
        raise ZooError(f"poppler's data for East Asian text is not on this machine: {INSTALL}")


def pages_of(pdf: Path) -> list[PdfPage]:
    """All pages with their lines, as poppler's layout analysis finds them, and the fonts of these.

    Raises ZooError where the file cannot be read, or not in half an hour.
    """
    file = str(pdf.absolute())
    pages = parsed(_run(["pdftotext", "-q", "-bbox-layout", "-enc", "UTF-8", file, "-"], pdf, SECONDS_OF_A_FILE))
    told = _run(
        ["pdftohtml", "-q", "-xml", "-stdout", "-i", "-hidden", "-nodrm", "-fontfullname", "-zoom", str(_ZOOM), file],
        pdf,
        SECONDS_OF_A_FILE,
    )
    fonts = told_by(told)
    return [
        replace(
            page,
            lines=tuple(
                replace(line, font=font_of(line.box, page.height, fonts.get(page.number))) for line in page.lines
            ),
        )
        for page in pages
    ]


def parsed(document: bytes) -> Iterator[PdfPage]:
    """The pages of what ``pdftotext -bbox-layout`` writes.

    Words of a line are joined by a space where there is a gap between them, and without one where there is none, as
    between ideographs and Latin letters. Lines without a visible character, or without area, are left out.
    """
    reader = _Reader()
    try:
        # Characters that XML forbids stand in some texts.
        reader.parser.Parse(_CONTROL.sub(b" ", document), True)
    except (expat.ExpatError, KeyError, ValueError) as error:
        raise ZooError(f"pdftotext's output cannot be read: {error}") from error
    yield from reader.pages


class _Reader:
    def __init__(self) -> None:
        self.pages: list[PdfPage] = []
        # Python's expat neither fetches external entities nor expands those that the document declares beyond measure.
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self._size = (0.0, 0.0)
        self._lines: list[PdfLine] = []
        self._box: Box = (0.0, 0.0, 0.0, 0.0)
        self._words: list[tuple[Box, str]] = []
        self._word: list[str] | None = None
        self._word_box: Box = (0.0, 0.0, 0.0, 0.0)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "page":
            self._size, self._lines = (float(attributes["width"]), float(attributes["height"])), []
        elif name == "line":
            self._box, self._words = _box(attributes), []
        elif name == "word":
            self._word_box, self._word = _box(attributes), []

    def _text(self, data: str) -> None:
        if self._word is not None:
            self._word.append(data)

    def _end(self, name: str) -> None:
        if name == "word" and self._word is not None:
            self._words.append((self._word_box, "".join(self._word)))
            self._word = None
        elif name == "line":
            text = joined(self._words)
            if text and self._box[2] > self._box[0] and self._box[3] > self._box[1]:
                self._lines.append(PdfLine(text, self._box))
        elif name == "page":
            self.pages.append(PdfPage(len(self.pages) + 1, *self._size, tuple(self._lines)))


def joined(words: Sequence[tuple[Box, str]]) -> str:
    """The words of a line as its text; a gap of a tenth of the line's height is a space."""
    parts: list[str] = []
    for place, (box, word) in enumerate(words):
        if place:
            before = words[place - 1][0]
            height = max(box[3] - box[1], before[3] - before[1])
            if box[0] - before[2] > 0.1 * height:
                parts.append(" ")
        parts.append(word)
    return " ".join("".join(parts).split())


def _box(attributes: dict[str, str]) -> Box:
    left, top, right, bottom = (float(attributes[key]) for key in ("xMin", "yMin", "xMax", "yMax"))
    return left, top, right, bottom


def image_of(pdf: Path, page: int, dpi: int) -> NDArray[np.uint8]:
    """A page ``[H, W]``, grey. Raises ZooError where it cannot be drawn."""
    from PIL import Image

    with TemporaryDirectory() as folder:
        target = Path(folder) / "page"
        _run(
            [
                "pdftoppm",
                "-q",
                "-gray",
                "-singlefile",
                "-r",
                str(dpi),
                "-f",
                str(page),
                "-l",
                str(page),
                str(pdf.absolute()),
                str(target),
            ],
            pdf,
            SECONDS_OF_A_PAGE,
        )
        try:
            with Image.open(target.with_suffix(".pgm"), formats=["PPM"]) as image:
                return np.asarray(image.convert("L"))
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            said = str(error).splitlines()[0]
            raise ZooError(f"{pdf}: page {page} cannot be drawn at {dpi} dpi: {said}") from error


def _run(arguments: Sequence[str], pdf: Path, seconds: float) -> bytes:
    try:
        done = subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=seconds)
    except subprocess.TimeoutExpired as error:
        raise ZooError(f"{pdf} cannot be read: {arguments[0]} has not ended after {seconds:g} s") from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise ZooError(f"{pdf} cannot be read: {arguments[0]}: {said[0] if said else f'status {done.returncode}'}")
    return done.stdout
