"""Recognition of lines of text that are rendered from a corpus."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import Any

from zoo.errors import InputError
from zoo.tasks import DataHome, PreparedCorpus, Split, Task
from zoo.tasks.contracts import SPLITS, Progress, silent
from zoo_tasks_vision.fonts.dealing import Dealt, deal
from zoo_tasks_vision.fonts.sources import Found, found_faces
from zoo_tasks_vision.images.store import PreparedImages, Recipe, Writers, prepared
from zoo_tasks_vision.rendering.line import Line, Renderer
from zoo_tasks_vision.rendering.options import RenderedLinesOptions
from zoo_tasks_vision.rendering.texts import Texts, drawable

VERSION = 1
"""Raise it with any change that gives other images."""
_SAMPLE = 5000
"""Texts of each split whose characters fonts must cover."""


class RenderedLines(Task):
    """Images of lines of text: the splits share neither a document of the corpus nor a family of fonts."""

    options: RenderedLinesOptions

    @property
    def name(self) -> str:
        """``lines-<corpus family>-<language>``."""
        corpus = self.options.corpus
        family = getattr(corpus.options, "name", None) or corpus.component.traits.get("family", corpus.name)
        return f"lines-{family}-{self.options.language}"

    def prepare(self, home: DataHome, progress: Progress = silent) -> PreparedImages:
        """Render the lines, or take what an earlier run rendered from the same text and fonts.

        Raises InputError where the corpus lacks the language or no font covers it; ZooError where a source cannot be
        had.
        """
        options = self.options
        corpus: PreparedCorpus = options.corpus.create().prepare(home, progress)
        if options.language not in corpus.languages:
            raise InputError(
                f"language '{options.language}' is not in corpus {corpus.name} (has {', '.join(corpus.languages)})"
            )
        found = found_faces(options.fonts, home, progress)
        fonts = hashlib.sha256("\n".join(f"{face.name} {face.digest}" for face in found.faces).encode()).hexdigest()
        settings = {"version": VERSION, "corpus": corpus.revision, "fonts": fonts, **options.plain()}
        recipe = Recipe(self.name, settings)
        return prepared(home, recipe, lambda writers: self._build(writers, corpus, found, progress))

    def _build(self, writers: Writers, corpus: PreparedCorpus, found: Found, progress: Progress) -> Mapping[str, Any]:
        options = self.options
        dealt = deal(found.faces, self._characters(corpus), options.fonts)
        sizes = {"train": options.lines, "dev": options.dev_lines, "test": options.test_lines}
        texts = {
            split: Texts(corpus.pairs(split), options.language, dealt.faces[split], sizes[split]) for split in SPLITS
        }
        for split in SPLITS:
            if not len(texts[split]):
                raise InputError(
                    f"corpus {corpus.name}: the fonts of the {split} split can draw none of its {texts[split].dropped} "
                    f"texts in '{options.language}' that were looked at"
                )
        total = sum(sizes.values()) + options.blank + options.unseen
        for done, (split, name, line) in enumerate(self._lines(sizes, texts)):
            if done % 200 == 0:
                progress("render", done, total)
            shown = f"{line.shown}, {line.pixels.shape[1]} x {line.pixels.shape[0]}"
            row = {"id": name, "source": shown, "target": line.text, "strata": line.strata}
            writers[split].add(line.pixels, row if line.document is None else {**row, "document": line.document})
        progress("render", total, total)
        return self._facts(corpus, found, dealt, {split: texts[split].dropped for split in SPLITS})

    def _lines(self, sizes: Mapping[Split, int], texts: Mapping[Split, Texts]) -> Iterator[tuple[Split, str, Line]]:
        renderer = Renderer(self.options)
        for split in SPLITS:
            for number in range(sizes[split]):
                yield split, f"{split}:{number}", renderer.line(split, number, texts[split])
        for kind in ("blank", "unseen"):
            for number in range(getattr(self.options, kind)):
                yield "test", f"{kind}:{number}", renderer.empty(kind, number)

    def _characters(self, corpus: PreparedCorpus) -> Counter[str]:
        """How often each character stands in a sample of each split."""
        counts: Counter[str] = Counter()
        for split in SPLITS:
            pairs = corpus.pairs(split)
            for place in range(0, len(pairs), max(1, len(pairs) // _SAMPLE)):
                counts.update(drawable(pairs[place].texts[self.options.language]) or "")
        return counts

    def _facts(
        self, corpus: PreparedCorpus, found: Found, dealt: Dealt, dropped: Mapping[Split, int]
    ) -> Mapping[str, Any]:
        from PIL import features

        return {
            "corpus": {"name": corpus.name, "revision": corpus.revision, "licence": corpus.licence},
            "fonts": {split: [face.name for face in dealt.faces[split]] for split in SPLITS},
            "font_packages": dict(found.packages),
            "fonts_left_out": list(dealt.left_out),
            "texts_without_a_font": dict(dropped),
            "rendered_with": {
                "pillow": metadata.version("pillow"),
                "freetype": features.version("freetype2"),
                "libjpeg": features.version("libjpeg_turbo"),
            },
        }
