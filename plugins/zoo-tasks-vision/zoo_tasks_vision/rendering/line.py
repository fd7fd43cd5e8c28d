"""One line of text as an image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import PCG64, Generator, SeedSequence
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from zoo.errors import ZooError
from zoo.tasks import Split
from zoo_tasks_vision.bands import band
from zoo_tasks_vision.fonts.faces import Face
from zoo_tasks_vision.rendering.backgrounds import texture
from zoo_tasks_vision.rendering.distortions import Distortions
from zoo_tasks_vision.rendering.options import RenderedLinesOptions
from zoo_tasks_vision.rendering.texts import Texts

_STREAMS = {"train": 0, "dev": 1, "test": 2, "blank": 3, "unseen": 4}
_NARROWEST = 0.2
"""Font sizes that the narrowest letters take: how much text can be needed for a width."""
_PATIENCE = 50
"""Draws of a text before none is taken to fit."""


@dataclass(frozen=True)
class Line:
    """A rendered line."""

    pixels: NDArray[np.uint8]
    """``[H, W]``, or ``[H, W, 3]`` in colour."""
    text: str
    shown: str
    """What names it to a reader: its font."""
    document: str | None
    strata: dict[str, str]


@lru_cache(maxsize=512)
def _font(path: Path, index: int, size: int) -> ImageFont.FreeTypeFont:
    # The basic layout is Pillow's own: the same bytes with and without libraqm.
    return ImageFont.truetype(path, size, index=index, layout_engine=ImageFont.Layout.BASIC)


class Renderer:
    """Draws line `number` of a split or of the empty images: the same one in any order and any process."""

    def __init__(self, options: RenderedLinesOptions) -> None:
        self.options = options

    def _draws(self, stream: str, number: int) -> Generator:
        return Generator(PCG64(SeedSequence([self.options.seed, _STREAMS[stream], number])))

    def line(self, split: Split, number: int, texts: Texts) -> Line:
        """Raises ZooError where no text fits."""
        draw = self._draws(split, number)
        height, target = self._size(draw)
        for attempt in range(_PATIENCE):
            # All texts are gone through before one comes again.
            start = number % len(texts) if attempt == 0 else int(draw.integers(len(texts)))
            found = self._set(draw, texts, start, height, target)
            if found is not None:
                break
        else:
            raise ZooError(f"no text of the {split} split fits an image {height} pixels high with aspect {target:.1f}")
        face, font, text, left, baseline, width = found
        distortions = Distortions(draw, self.options.distortions)
        ink = Image.new("L", (width, height))
        ImageDraw.Draw(ink).text((left, baseline), text, fill=255, font=font, anchor="ls")
        coverage = np.asarray(distortions.of_ink(ink, font.size), np.float32) / np.float32(255)  # [H, W]
        kind = self._one_of(draw, self.options.backgrounds)
        pixels = distortions.of_pixels(self._painted(draw, kind, height, width, coverage), draw)
        strata = self._strata("text", height, width)
        return Line(pixels, text, face.name, texts.documents[start], strata)

    def empty(self, kind: str, number: int) -> Line:
        """An image without text, ``blank`` (a background of training) or ``unseen`` (another one)."""
        draw = self._draws(kind, number)
        height, target = self._size(draw)
        width = self._width_in_band(height, target, round(height * target))
        distortions = Distortions(draw, self.options.distortions)
        names = self.options.backgrounds if kind == "blank" else self.options.unseen_backgrounds
        background = self._one_of(draw, names)
        pixels = distortions.of_pixels(self._painted(draw, background, height, width, None), draw)
        return Line(pixels, "", f"no text, {background}", None, self._strata(kind, height, width))

    def _strata(self, content: str, height: int, width: int) -> dict[str, str]:
        aspect = band(self.options.aspects, width / height)
        return {"aspect": aspect, "height": str(height), "content": content}

    @staticmethod
    def _one_of(draw: Generator, names: Sequence[Any]) -> Any:
        return names[int(draw.integers(len(names)))]

    def _size(self, draw: Generator) -> tuple[int, float]:
        """Height, and the aspect that the width is at the most."""
        edges = self.options.aspects
        height = int(self._one_of(draw, self.options.heights))
        place = int(draw.integers(len(edges) - 1))
        low, high = math.log(edges[place]), math.log(edges[place + 1])
        return height, math.exp(draw.uniform(low, high))

    def _width_in_band(self, height: int, target: float, width: int) -> int:
        """`width`, or the nearest at which the image has the band of `target`."""
        edges = self.options.aspects
        upper = next((edge for edge in edges[1:] if target < edge), edges[-1])
        lower = edges[edges.index(upper) - 1]
        least, most = math.ceil(lower * height), math.ceil(upper * height) - 1
        return max(least, min(width, most))

    def _set(
        self, draw: Generator, texts: Texts, start: int, height: int, target: float
    ) -> tuple[Face, ImageFont.FreeTypeFont, str, float, int, int] | None:
        """Face, font, text, where its baseline begins, and the image's width; None where nothing fits."""
        margins = draw.uniform(0.02, 0.15, 2)
        side = height * draw.uniform(0.05, 0.4)
        inner = height * (1 - margins.sum())
        room = height * target - 2 * side
        first, jitter = int(draw.integers(len(texts.faces))), draw.random()
        # A font size is about .8 of the room between ascent and descent.
        string = texts.joined(start, 2 + math.ceil(room / (_NARROWEST * 0.8 * inner)))
        face = self._face(texts.faces, first, string)
        if face is None:
            # What follows may have other characters: the first text alone has a face.
            string = texts.texts[start]
            face = self._face(texts.faces, first, string)
        if face is None:
            return None
        font = self._fitted(face, inner)
        text = _fitting(font, string, room)
        if not text:
            return None
        length = font.getlength(text)
        width = self._width_in_band(height, target, math.ceil(length + 2 * side))
        ascent, descent = font.getmetrics()
        spare = height - (ascent + descent)
        baseline = round(ascent + spare * margins[0] / margins.sum())
        left = max(0.0, (width - length) / 2 if jitter < 0.5 else side)
        return face, font, text, left, baseline, width

    @staticmethod
    def _face(faces: Sequence[Face], first: int, text: str) -> Face | None:
        needed = set(text) - {" "}
        for place in range(len(faces)):
            face = faces[(first + place) % len(faces)]
            if face.characters.issuperset(needed):
                return face
        return None

    @staticmethod
    def _fitted(face: Face, inner: float) -> ImageFont.FreeTypeFont:
        """The largest size whose ascent and descent fit into `inner` pixels, by the metrics of a large one."""
        ascent, descent = _font(face.path, face.index, 100).getmetrics()
        return _font(face.path, face.index, max(3, int(100 * inner / (ascent + descent))))

    def _painted(
        self, draw: Generator, background: str, height: int, width: int, ink: NDArray[np.float32] | None
    ) -> NDArray[np.float32]:
        """``[H, W]`` or ``[H, W, 3]``: paper, its texture, and ink on it (``[H, W]``, 0 to 1)."""
        light, dark = draw.uniform(170, 250), draw.uniform(0, 80)
        inverted = draw.random() < self.options.inverted
        paper, pen = (dark, light) if inverted else (light, dark)
        pattern = texture(background, draw, height, width)
        if inverted:
            pattern = -pattern
        tints = draw.uniform(-25, 25, (2, 3)).astype(np.float32)
        if not self.options.colour:
            ground = np.float32(paper) + pattern
            return ground if ink is None else ground + ink * (np.float32(pen) - ground)
        ground = np.float32(paper) + pattern[:, :, None] + tints[0]  # [H, W, 3]
        if ink is None:
            return ground
        return ground + ink[:, :, None] * (np.float32(pen) + tints[1] - ground)


def _fitting(font: ImageFont.FreeTypeFont, text: str, room: float) -> str:
    """The longest beginning of `text` that is at most `room` pixels long, cut between words if that leaves half.

    Up to the kerning, which would be asked for at every length.
    """
    advances, taken, low = _advances(font.path, font.index, font.size), 0.0, 0
    for character in text:
        advance = advances.get(character)
        if advance is None:
            advance = advances[character] = font.getlength(character)
        taken += advance
        if taken > room:
            break
        low += 1
    cut = text[:low]
    if low < len(text) and text[low] != " " and " " in cut:
        whole = cut[: cut.rindex(" ")]
        if 2 * len(whole) >= len(cut):
            cut = whole
    return cut.strip()


@lru_cache(maxsize=512)
def _advances(path: Path, index: int, size: int) -> dict[str, float]:
    """Widths of the characters that were met, filled as they are."""
    return {}
