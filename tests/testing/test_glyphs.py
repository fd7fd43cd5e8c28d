"""The kit's image task is a task like any other, and the kit sees one that is not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from zoo.registry import use_registry
from zoo.spec.options import Chosen, Slot
from zoo.tasks import DataHome, Example, PixelImage
from zoo.testing import TaskSuite
from zoo.testing.glyphs import PreparedGlyphs, with_glyphs

FEW = {"train": 12, "dev": 4, "test": 4}


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    with use_registry(with_glyphs()):
        yield


def glyphs(**options: Any) -> Chosen:
    return TypeAdapter(Annotated[Chosen, Slot("task")]).validate_python({"use": "glyphs", **FEW, **options})


class TestGlyphs(TaskSuite):
    component = "zoo-testing-glyphs/glyphs"
    options = (FEW,)
    test_options_import_without_torch = None  # the kit around it imports torch


def test_letters_of_a_word_are_read_off_its_image() -> None:
    """Cut out by their places, equal letters are equal bitmaps and others are not."""
    task = glyphs(scale=3).create().prepare(DataHome(Path("unused")))
    bitmaps: dict[str, bytes] = {}
    for example in task.examples("train"):
        pixels = example.image.load()[::3, ::3, 0]
        assert pixels.shape == (8, 1 + 5 * len(example.target))
        for place, letter in enumerate(example.target):
            cut = pixels[1:7, 1 + 5 * place : 5 + 5 * place].tobytes()
            assert bitmaps.setdefault(letter, cut) == cut
    assert len(set(bitmaps.values())) == len(bitmaps) == 6


def test_the_kit_sees_an_image_of_another_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Lying(PixelImage):
        @property
        def size(self) -> tuple[int, int]:
            height, width = super().size
            return height + 1, width

    class Suite(TaskSuite):
        __test__ = False

    honest = PreparedGlyphs.examples

    def examples(self: PreparedGlyphs, split: Any) -> list[Example]:
        return [replace(item, image=Lying(item.image.load())) for item in honest(self, split)]

    Suite().test_images_are_what_they_say_wherever_they_are_read(glyphs(), tmp_path)
    monkeypatch.setattr(PreparedGlyphs, "examples", examples)
    with pytest.raises(AssertionError, match="train/0: other pixels"):
        Suite().test_images_are_what_they_say_wherever_they_are_read(glyphs(), tmp_path)


def test_pixels_are_bytes_of_three_channels() -> None:
    with pytest.raises(ValueError, match="expected uint8"):
        PixelImage(np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match="expected uint8"):
        PixelImage(np.zeros((4, 4, 3)))
