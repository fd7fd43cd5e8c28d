"""A task of images that needs nothing: words of letters that are drawn as random bitmaps, without fonts or files.

It comes with the kit, as `zoo.testing.plain` does, so that whatever reads images is tried on the same examples.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zoo.registry import Component, Registry, current_registry
from zoo.spec.options import Options
from zoo.tasks import DataHome, Example, PixelImage, PreparedTask, Split, Task
from zoo.tasks.contracts import Progress, silent

DISTRIBUTION = "zoo-testing-glyphs"
ALPHABET = "abcdefghijklmnopqrstuvwxyz"
_ROWS, _COLUMNS, _GAP = 6, 4, 1
_SPLITS: tuple[Split, ...] = ("train", "dev", "test")


class GlyphOptions(Options):
    """Options of the task `glyphs`."""

    letters: int = Field(default=6, ge=2, le=26, description="Different letters")
    shortest: int = Field(default=3, ge=1, le=100, description="Letters of the shortest words")
    longest: int = Field(default=5, ge=1, le=100, description="Letters of the longest words")
    scale: int = Field(default=2, ge=1, le=16, description="Pixels on a side of each dot of a letter")
    train: int = Field(default=120, ge=1, le=100_000, description="Words to learn from")
    dev: int = Field(default=20, ge=1, le=100_000, description="Words of the development split")
    test: int = Field(default=20, ge=1, le=100_000, description="Words of the test split")
    seed: int = Field(default=1, ge=0, lt=2**32, description="Seed of letters and words")


class Glyphs(Task):
    """Words as images: letters beside each other, black on white, images as wide as their words."""

    options: GlyphOptions

    @property
    def name(self) -> str:
        return "glyphs"

    def prepare(self, home: DataHome, progress: Progress = silent) -> PreparedGlyphs:
        return PreparedGlyphs(self.options)


class PreparedGlyphs(PreparedTask):
    """The words, drawn when they are asked for."""

    inputs = "image"

    def __init__(self, options: GlyphOptions) -> None:
        self._options = options
        self._examples = _examples(options)
        digest = hashlib.sha256()
        for split in _SPLITS:
            for example in self._examples[split]:
                assert example.image is not None
                digest.update(f"{example.id} {example.target} {example.image.size}".encode())
                digest.update(example.image.load().tobytes())
        self.revision = f"sha256:{digest.hexdigest()}"
        self.facts: Mapping[str, Any] = {"examples": {split: len(self._examples[split]) for split in _SPLITS}}

    def examples(self, split: Split) -> Sequence[Example]:
        return self._examples[split]


@lru_cache(maxsize=8)
def _examples(options: GlyphOptions) -> Mapping[Split, Sequence[Example]]:
    draw = np.random.default_rng(options.seed)
    letters = _letters(draw, options.letters)
    found: dict[Split, Sequence[Example]] = {}
    for split in _SPLITS:
        count: int = getattr(options, split)
        words = [_word(draw, options) for _ in range(count)]
        found[split] = tuple(
            Example(
                id=f"{split}/{number}",
                source=f"word {number} of {split}",
                target="".join(ALPHABET[letter] for letter in word),
                image=PixelImage(_drawn([letters[letter] for letter in word], options.scale)),
                strata={"letters": str(len(word))},
            )
            for number, word in enumerate(words)
        )
    return found


def _letters(draw: np.random.Generator, count: int) -> list[NDArray[np.bool_]]:
    """Different bitmaps ``[rows, columns]``."""
    found: dict[bytes, NDArray[np.bool_]] = {}
    while len(found) < count:
        letter = draw.random((_ROWS, _COLUMNS)) < 0.5
        found.setdefault(letter.tobytes(), letter)
    return list(found.values())


def _word(draw: np.random.Generator, options: GlyphOptions) -> list[int]:
    length = int(draw.integers(options.shortest, options.longest + 1))
    return [int(letter) for letter in draw.integers(0, options.letters, length)]


def _drawn(letters: Sequence[NDArray[np.bool_]], scale: int) -> NDArray[np.uint8]:
    """Pixels ``[height, width, 3]`` of letters beside each other, with a margin around and between them."""
    ink = np.concatenate([np.pad(letter, ((_GAP, _GAP), (_GAP, 0))) for letter in letters], axis=1)
    ink = np.pad(ink, ((0, 0), (0, _GAP)))
    grey = np.where(ink, np.uint8(0), np.uint8(255)).repeat(scale, axis=0).repeat(scale, axis=1)
    return np.repeat(grey[:, :, None], 3, axis=2)


GLYPHS = Component(
    kind="task",
    name="glyphs",
    target=f"{__name__}:Glyphs",
    options=f"{__name__}:GlyphOptions",
    summary="Words of letters that are random bitmaps, for tests of whatever reads images",
    traits={"inputs": "image"},
)


def with_glyphs(registry: Registry | None = None) -> Registry:
    """`registry` (the current one where absent) and the task, named ``zoo-testing-glyphs/glyphs``."""
    return (registry or current_registry()).plus(DISTRIBUTION, "0", __name__, (GLYPHS,))
