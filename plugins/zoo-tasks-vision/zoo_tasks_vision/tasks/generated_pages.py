"""Detection of the lines of pages that are set from a corpus."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

from zoo.errors import ZooError
from zoo.images.files import encoded
from zoo.tasks import DataHome, Split, Task
from zoo.tasks.contracts import SPLITS, Progress, silent
from zoo_tasks_vision.fonts.faces import Face
from zoo_tasks_vision.images.store import PreparedImages, Recipe, Writers, prepared
from zoo_tasks_vision.pages.options import GeneratedPagesOptions
from zoo_tasks_vision.pages.typesetting import POINTS, Font, Typesetter, clipped, pdf_of, rasterised, settable
from zoo_tasks_vision.tasks.corpus_texts import DrawnCorpus, family_of

VERSION = 3
"""Raise it with any change that gives other pages."""
LINE = {"id": 1, "name": "line"}
"""The one category."""
_TEXTS_OF_A_PAGE = 100


class GeneratedPages(Task):
    """Pages of one to three columns, headings, tables and page numbers; every line of text has its box.

    A box reaches from the font's ascent to its descent, and from the first character's origin to the end of the last.
    The splits share neither a document of the corpus nor a family of fonts.
    """

    options: GeneratedPagesOptions

    @property
    def name(self) -> str:
        """``pages-<corpus family>-<language>``."""
        return f"pages-{family_of(self.options.corpus)}-{self.options.language}"

    def prepare(self, home: DataHome, progress: Progress = silent) -> PreparedImages:
        """Set and rasterise the pages, or take what an earlier run left.

        Raises ZooError where reportlab or pypdfium2 is not installed, InputError as `rendered-lines` does.
        """
        for package in ("reportlab", "pypdfium2"):
            if importlib.util.find_spec(package) is None:
                raise ZooError(
                    f"task {self.name} needs {package}, which is not installed: pip install 'zoo-tasks-vision[pages]'"
                )
        options = self.options
        drawn = DrawnCorpus(options.corpus, options.language, options.fonts, home, progress)
        recipe = Recipe(self.name, {"version": VERSION, **drawn.identity, **options.plain()})
        return prepared(home, recipe, lambda writers: self._build(writers, drawn, progress), outputs="detections")

    def _build(self, writers: Writers, drawn: DrawnCorpus, progress: Progress) -> Mapping[str, Any]:
        options = self.options
        sizes: dict[Split, int] = {"train": options.pages, "dev": options.dev_pages, "test": options.test_pages}
        fonts: dict[str, Font] = {}

        def usable(faces: Sequence[Face]) -> Sequence[Face]:
            fonts.update(settable(faces))
            return [face for face in faces if face.name in fonts]

        dealt = drawn.deal(usable)
        texts = drawn.texts(dealt, {split: size * _TEXTS_OF_A_PAGE for split, size in sizes.items()})
        typesetter = Typesetter(options, fonts)
        done, total = 0, sum(sizes.values())
        for split in SPLITS:
            for number in range(sizes[split]):
                progress("pages", done, total)
                done += 1
                page, dpi, font = typesetter.page(split, number, texts[split])
                pixels = rasterised(pdf_of(page), dpi)
                height, width = pixels.shape
                boxes = [clipped(line.box, dpi / POINTS, height, width) for line in page.lines]
                row = {
                    "id": f"{split}:{number}",
                    "source": f"{font}, {width} x {height} at {dpi} dpi",
                    "target": "",
                    "boxes": [[*box, LINE["id"], 0] for box in boxes if box is not None],
                    "strata": {"dpi": str(dpi)},
                }
                writers[split].add_file(encoded(pixels), row)
        progress("pages", total, total)
        return {
            **drawn.facts(dealt, texts),
            "categories": [LINE],
            "fonts_that_cannot_be_set": [face.name for face in drawn.found.faces if face.name not in fonts],
            "rendered_with": {name: metadata.version(name) for name in ("reportlab", "pypdfium2")},
        }
