"""Recognition of lines of text that are rendered from a corpus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import Any

from zoo.tasks import DataHome, Split, Task
from zoo.tasks.contracts import SPLITS, Progress, silent
from zoo_tasks_vision.images.store import PreparedImages, Recipe, Writers, prepared
from zoo_tasks_vision.rendering.line import Line, Renderer
from zoo_tasks_vision.rendering.options import RenderedLinesOptions
from zoo_tasks_vision.rendering.texts import Texts
from zoo_tasks_vision.tasks.corpus_texts import DrawnCorpus, family_of

VERSION = 3
"""Raise it with any change that gives other images."""


class RenderedLines(Task):
    """Images of lines of text: the splits share neither a document of the corpus nor a family of fonts."""

    options: RenderedLinesOptions

    @property
    def name(self) -> str:
        """``lines-<corpus family>-<language>``."""
        return f"lines-{family_of(self.options.corpus)}-{self.options.language}"

    def prepare(self, home: DataHome, progress: Progress = silent) -> PreparedImages:
        """Render the lines, or take what an earlier run rendered from the same text and fonts.

        Raises InputError where the corpus lacks the language or no font covers it; ZooError where a source cannot be
        had.
        """
        options = self.options
        drawn = DrawnCorpus(options.corpus, options.language, options.fonts, home, progress)
        recipe = Recipe(self.name, {"version": VERSION, **drawn.identity, **options.plain()})
        return prepared(home, recipe, lambda writers: self._build(writers, drawn, progress))

    def _build(self, writers: Writers, drawn: DrawnCorpus, progress: Progress) -> Mapping[str, Any]:
        from PIL import features

        options = self.options
        sizes: dict[Split, int] = {"train": options.lines, "dev": options.dev_lines, "test": options.test_lines}
        dealt = drawn.deal()
        texts = drawn.texts(dealt, sizes)
        total = sum(sizes.values()) + options.blank + options.unseen
        for done, (split, name, line) in enumerate(self._lines(sizes, texts)):
            if done % 200 == 0:
                progress("render", done, total)
            shown = f"{line.shown}, {line.pixels.shape[1]} x {line.pixels.shape[0]}"
            row = {"id": name, "source": shown, "target": line.text, "strata": line.strata}
            writers[split].add(line.pixels, row if line.document is None else {**row, "document": line.document})
        progress("render", total, total)
        return {
            **drawn.facts(dealt, texts),
            "rendered_with": {
                "pillow": metadata.version("pillow"),
                "freetype": features.version("freetype2"),
                "libjpeg": features.version("libjpeg_turbo"),
            },
        }

    def _lines(self, sizes: Mapping[Split, int], texts: Mapping[Split, Texts]) -> Iterator[tuple[Split, str, Line]]:
        renderer = Renderer(self.options)
        for split in SPLITS:
            for number in range(sizes[split]):
                yield split, f"{split}:{number}", renderer.line(split, number, texts[split])
        for kind in ("blank", "unseen"):
            for number in range(getattr(self.options, kind)):
                yield "test", f"{kind}:{number}", renderer.empty(kind, number)
