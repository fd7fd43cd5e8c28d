"""Batches of images padded to one frame."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from zoo.tasks import Example, PixelImage
from zoo.training.data.batching import TokenBatches
from zoo.training.data.detections import encoded_detections
from zoo.training.data.frames import FrameBatches
from zoo.training.data.layouts import Detections
from zoo.training.data.loader import batches_for

sizes = st.lists(st.tuples(st.integers(1, 80), st.integers(1, 80)), min_size=1, max_size=60)


def batches_of(grids: list[tuple[int, int]], budget: int) -> FrameBatches:
    rows, columns = np.array(grids, np.int64).T
    return FrameBatches(rows * columns, columns, budget, seed=1)


def frame_of(grids: list[tuple[int, int]], batch: np.ndarray) -> int:
    """Cells of the frame of a batch."""
    rows, columns = zip(*(grids[index] for index in batch), strict=True)
    return max(rows) * max(columns)


@settings(deadline=None, max_examples=40)
@given(sizes, st.integers(1, 4000))
@example([(80, 1), (1, 80)] * 10, 1600)
def test_frames_stay_within_the_budget_unless_one_image_exceeds_it(grids: list[tuple[int, int]], budget: int) -> None:
    batches = batches_of(grids, budget).epoch(0)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(grids)))
    for batch in batches:
        assert len(batch) * frame_of(grids, batch) <= budget or len(batch) == 1


def test_pages_that_lie_and_pages_that_stand_do_not_share_frames() -> None:
    """As many cells each: together, a quarter and more of a frame would be padding."""
    grids = [(80, 57), (57, 80)] * 40
    batches = batches_of(grids, 8 * 80 * 57)
    assert batches.padding_share() == 0.0
    assert [len(batch) for batch in batches.epoch(0)] == [8] * 10


def test_images_of_one_shape_come_as_they_would_by_their_cells() -> None:
    cells, columns = np.full(50, 24, np.int64), np.full(50, 6, np.int64)
    for one, other in zip(
        FrameBatches(cells, columns, 100, 3).epoch(1), TokenBatches((cells,), 100, 3).epoch(1), strict=True
    ):
        assert one.tolist() == other.tolist()


def test_padding_is_that_of_the_frames() -> None:
    """One batch of a frame of 4 x 3 cells: 4 + 3 of 24 hold an image."""
    assert batches_of([(4, 1), (1, 3)], 24).padding_share() == 1 - 7 / 24


def test_the_batches_of_boxes_are_such() -> None:
    images = [PixelImage(np.zeros(shape, np.uint8)) for shape in ((16, 16 * 80, 3), (16 * 80, 16, 3))]
    examples = [Example(id=str(n), source="", target="", image=image) for n, image in enumerate(images)]
    encoded = encoded_detections(examples, [1], lambda height, width: (-(-height // 16), -(-width // 16)))
    layout = Detections(processor=None, categories=[1])
    assert [len(batch) for batch in batches_for(encoded, 160, 1, layout=layout).micro_batches(0)] == [1, 1]
