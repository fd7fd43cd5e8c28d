"""What tasks that draw a corpus's text share: its fonts and its texts, split by split."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from zoo.errors import InputError
from zoo.spec.options import Chosen
from zoo.tasks import DataHome, PreparedCorpus, Split
from zoo.tasks.contracts import SPLITS, Progress
from zoo_tasks_vision.fonts.dealing import Dealt, deal
from zoo_tasks_vision.fonts.faces import Face
from zoo_tasks_vision.fonts.options import FontOptions
from zoo_tasks_vision.fonts.sources import Found, found_faces
from zoo_tasks_vision.rendering.texts import Texts, drawable

_SAMPLE = 5000
"""Texts of each split whose characters fonts must cover."""


def family_of(corpus: Chosen) -> str:
    """The name of a corpus on boards, before anything of it is read."""
    return str(getattr(corpus.options, "name", None) or corpus.component.traits.get("family", corpus.name))


class DrawnCorpus:
    """A prepared corpus and the fonts that it may be drawn with."""

    def __init__(self, corpus: Chosen, language: str, fonts: FontOptions, home: DataHome, progress: Progress) -> None:
        """Raises InputError where the corpus lacks the language or no font is there."""
        self.corpus: PreparedCorpus = corpus.create().prepare(home, progress)
        self.language, self.options = language, fonts
        if language not in self.corpus.languages:
            raise InputError(
                f"language '{language}' is not in corpus {self.corpus.name} (has {', '.join(self.corpus.languages)})"
            )
        self.found: Found = found_faces(fonts, home, progress)

    @property
    def identity(self) -> Mapping[str, str]:
        """What images follow from, beside the options."""
        fonts = "\n".join(f"{face.name} {face.digest}" for face in self.found.faces)
        return {"corpus": self.corpus.revision, "fonts": hashlib.sha256(fonts.encode()).hexdigest()}

    def deal(self, usable: Callable[[Sequence[Face]], Sequence[Face]] = lambda faces: faces) -> Dealt:
        """The fonts of each split, of those that are `usable`."""
        return deal(usable(self.found.faces), self._characters(), self.options)

    def texts(self, dealt: Dealt, most: Mapping[Split, int]) -> dict[Split, Texts]:
        """The texts of each split that its fonts can draw, at most so many. Raises InputError where there is none."""
        found = {
            split: Texts(self.corpus.pairs(split), self.language, dealt.faces[split], most[split]) for split in SPLITS
        }
        for split, texts in found.items():
            if not len(texts):
                raise InputError(
                    f"corpus {self.corpus.name}: the fonts of the {split} split can draw none of its {texts.dropped} "
                    f"texts in '{self.language}' that were looked at"
                )
        return found

    def facts(self, dealt: Dealt, texts: Mapping[Split, Texts]) -> dict[str, Any]:
        corpus = self.corpus
        return {
            "corpus": {"name": corpus.name, "revision": corpus.revision, "licence": corpus.licence},
            "fonts": {split: [face.name for face in dealt.faces[split]] for split in SPLITS},
            "font_packages": dict(self.found.packages),
            "fonts_left_out": list(dealt.left_out),
            "texts_without_a_font": {split: texts[split].dropped for split in SPLITS},
        }

    def _characters(self) -> Counter[str]:
        """How often each character stands in a sample of each split."""
        counts: Counter[str] = Counter()
        for split in SPLITS:
            pairs = self.corpus.pairs(split)
            for place in range(0, len(pairs), max(1, len(pairs) // _SAMPLE)):
                counts.update(drawable(pairs[place].texts[self.language]) or "")
        return counts
