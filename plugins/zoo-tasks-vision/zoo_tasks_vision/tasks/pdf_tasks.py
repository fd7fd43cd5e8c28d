"""Tasks over the pages of PDFs: the boxes of their lines, and the lines themselves."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from zoo.errors import ZooError
from zoo.images.files import encoded
from zoo.tasks import DataHome, Split, Task
from zoo.tasks.contracts import SPLITS, Output, Progress, silent
from zoo_tasks_vision.bands import band
from zoo_tasks_vision.images.store import ImageWriter, PreparedImages, Recipe, Writers, prepared
from zoo_tasks_vision.pages import books as library
from zoo_tasks_vision.pages import poppler
from zoo_tasks_vision.pages.books import Book
from zoo_tasks_vision.pages.options import DocumentPagesOptions, PdfOptions, TypesetLinesOptions
from zoo_tasks_vision.pages.poppler import PdfLine, PdfPage
from zoo_tasks_vision.pages.typefaces import main_fonts, seen_in
from zoo_tasks_vision.pages.typesetting import POINTS, clipped

VERSION = 2
"""Raise it with any change that gives other examples."""
LINE = {"id": 1, "name": "line"}
Chosen = tuple[Book, PdfPage]
_TELLING = 20
"""Characters from which a line tells one book from another."""
_MAIN = 0.05
"""Share of a PDF's lines from which on their font makes its look."""


class PdfTask(Task):
    """Reads PDFs of Debian packages or own folders; no document stands in two splits."""

    options: PdfOptions
    outputs: ClassVar[Output]

    def prepare(self, home: DataHome, progress: Progress = silent) -> PreparedImages:
        """Read and draw the pages, or take what an earlier run left of the same PDFs.

        Raises ZooError where poppler or a package cannot be had, InputError where there are too few PDFs.
        """
        found, versions = library.found_books(self.options, home, progress)
        contents = hashlib.sha256("\n".join(f"{book.name} {book.digest}" for book in found).encode()).hexdigest()
        settings = {"version": VERSION, "task": type(self).__name__, "pdfs": contents, **self.options.plain()}
        return prepared(
            home,
            Recipe(self.name, settings),
            lambda writers: self._build(writers, found, versions, progress),
            outputs=self.outputs,
        )

    def _build(
        self, writers: Writers, found: Sequence[Book], versions: Mapping[str, str], progress: Progress
    ) -> Mapping[str, Any]:
        poppler.require()
        read: dict[Book, list[PdfPage]] = {}
        texts: dict[str, set[str]] = {}
        looks: dict[str, list[set[str]]] = {}
        for place, book in enumerate(found):
            progress("read", place, len(found))
            read[book] = poppler.pages_of(book.path)
            lines = [line for page in read[book] for line in page.lines]
            told = texts.setdefault(book.document, set())
            told.update(line.text for line in lines if len(line.text) >= _TELLING)
            looks.setdefault(book.document, []).append(main_fonts((line.font for line in lines), _MAIN))
        documents = library.merged(texts)
        if self.options.held_out_fonts:
            documents = library.in_one_look(documents, looks)
        owners = library.dealt(documents, self.options)
        splits: dict[Split, list[Book]] = {
            split: [book for book in found if owners[book.document] == split] for split in SPLITS
        }
        pages = {split: self._pages(splits[split], read) for split in SPLITS}
        fonts = {split: Counter(line.font for _, page in pages[split] for line in page.lines) for split in SPLITS}
        seen = fonts["train"].keys() - {""}
        for split in SPLITS:
            self.write(writers[split], split, pages[split], seen, progress)
        return {**library.facts(splits, versions, fonts), **self.facts()}

    def _pages(self, books: Sequence[Book], read: Mapping[Book, Sequence[PdfPage]]) -> list[Chosen]:
        """The pages with text that are taken of each book."""
        taken: list[Chosen] = []
        for book in books:
            numbers = library.chosen_pages(len(read[book]), self.options.pages_of_a_file)
            taken += [(book, page) for number in numbers if (page := read[book][number - 1]).lines]
        return taken

    @abstractmethod
    def write(
        self, writer: ImageWriter, split: Split, pages: Sequence[Chosen], seen: Set[str], progress: Progress
    ) -> None:
        """Write the examples of these pages; `seen` are the fonts of training."""

    def facts(self) -> Mapping[str, Any]:
        """Facts that the PDFs do not have."""
        return {}

    def drawn(self, book: Book, page: PdfPage) -> tuple[NDArray[np.uint8], int]:
        """The image ``[H, W]`` of a page, at a resolution that its name decides."""
        name = f"{self.options.seed}\0{book.document}\0{book.path.name}\0{page.number}"
        place = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % len(self.options.dpi)
        dpi = self.options.dpi[place]
        return poppler.image_of(book.path, page.number, dpi), dpi


class DocumentPages(PdfTask):
    """Pages of documents; every line that poppler finds in the text of the PDF has its box, clipped to the page."""

    options: DocumentPagesOptions
    outputs = "detections"
    name = "document-pages"

    def facts(self) -> Mapping[str, Any]:
        return {"categories": [LINE]}

    def write(
        self, writer: ImageWriter, split: Split, pages: Sequence[Chosen], seen: Set[str], progress: Progress
    ) -> None:
        for place, (book, page) in enumerate(pages):
            progress(f"draw {split}", place, len(pages))
            pixels, dpi = self.drawn(book, page)
            height, width = pixels.shape
            boxes = [clipped(line.box, dpi / POINTS, height, width) for line in page.lines]
            row = {
                "id": f"{book.name}#{page.number}",
                "source": f"{book.name}, page {page.number}, {width} x {height} at {dpi} dpi",
                "target": "",
                "document": book.document,
                "boxes": [[*box, LINE["id"], 0] for box in boxes if box is not None],
                "strata": {"dpi": str(dpi), "font": seen_in(seen, (line.font for line in page.lines))},
            }
            writer.add_file(encoded(pixels), row)


class TypesetLines(PdfTask):
    """Lines of documents, cut out of their pages with a margin, and their text."""

    options: TypesetLinesOptions
    outputs = "text"
    name = "typeset-lines"

    def write(
        self, writer: ImageWriter, split: Split, pages: Sequence[Chosen], seen: Set[str], progress: Progress
    ) -> None:
        most: int = getattr(self.options, {"train": "lines", "dev": "dev_lines", "test": "test_lines"}[split])
        places = [(page, line) for page, (_, found) in enumerate(pages) for line in range(len(found.lines))]
        if not places:
            raise ZooError(f"task {self.name}: the PDFs of the {split} split have no text")
        wanted = [places[number - 1] for number in library.chosen_pages(len(places), most)]
        for done, (book, page, lines) in enumerate(_by_page(wanted, pages)):
            progress(f"cut {split}", done, len(pages))
            pixels, dpi = self.drawn(book, page)
            for number in lines:
                line = page.lines[number]
                cut = self._cut(pixels, line, dpi)
                if cut is None:
                    continue
                height, width = cut.shape
                row = {
                    "id": f"{book.name}#{page.number}.{number}",
                    "source": f"{book.name}, page {page.number}, line {number}, {width} x {height}",
                    "target": line.text,
                    "document": book.document,
                    "strata": {
                        "aspect": band(self.options.aspects, width / height),
                        "height": band(self.options.heights, height),
                        "content": "text",
                        "font": seen_in(seen, [line.font]),
                    },
                }
                writer.add(np.ascontiguousarray(cut), row)

    def _cut(self, pixels: NDArray[np.uint8], line: PdfLine, dpi: int) -> NDArray[np.uint8] | None:
        """The pixels of a line; None where the page shows nothing there, as of hidden text."""
        left, top, right, bottom = line.box
        margin = self.options.margin * (bottom - top)
        height, width = pixels.shape
        box = clipped((left - margin, top - margin, right + margin, bottom + margin), dpi / POINTS, height, width)
        if box is None:
            return None
        cut = pixels[int(box[1]) : int(np.ceil(box[3])), int(box[0]) : int(np.ceil(box[2]))]
        return None if cut.min() == cut.max() else cut


def _by_page(wanted: Sequence[tuple[int, int]], pages: Sequence[Chosen]) -> Iterator[tuple[Book, PdfPage, list[int]]]:
    """The wanted lines of each page that has some: it is drawn once."""
    lines: dict[int, list[int]] = {}
    for page, line in wanted:
        lines.setdefault(page, []).append(line)
    for page, numbers in lines.items():
        yield *pages[page], numbers
