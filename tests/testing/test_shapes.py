"""The kit's task of boxes is a task like any other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from zoo.registry import use_registry
from zoo.tasks import DataHome
from zoo.testing import TaskSuite
from zoo.testing.shapes import DARK, Shapes, ShapesOptions, with_shapes

FEW = {"train": 12, "dev": 4, "test": 4}


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    with use_registry(with_shapes()):
        yield


class TestShapes(TaskSuite):
    component = "zoo-testing-shapes/shapes"
    options = (FEW,)
    test_options_import_without_torch = None  # the kit around it imports torch


def test_the_last_rectangle_of_an_image_fills_its_box(tmp_path: Path) -> None:
    """Those before it may lie under it."""
    examples = Shapes(ShapesOptions(train=30)).prepare(DataHome(tmp_path)).examples("train")
    seen = set()
    for example in examples:
        if example.boxes:
            assert example.image is not None
            last = example.boxes[-1]
            x1, y1, x2, y2 = map(int, last.box)
            colours = np.unique(example.image.load()[y1:y2, x1:x2])
            assert colours.tolist() == [0 if last.category == DARK else 255]
            seen.add(last.category)
    assert len(seen) == 2
    assert any(not example.boxes for example in examples)
