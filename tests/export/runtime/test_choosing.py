"""Boxes chosen without torch, number for number as with it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from zoo.export.folder import BoxPart, Category
from zoo.export.runtime.choosing import found, in_pixels
from zoo.models.detection import Found
from zoo.models.detection.choosing import Choice, Scored, chosen
from zoo.models.detection.contracts import corners
from zoo.models.detection.model import cut

LEAST = 0.25


def part(choice: Choice) -> BoxPart:
    rest: dict[str, Any] = {"min_score": LEAST, "max_detections": 5, "batch_size": 1, "multiple": 1}
    names = [Category(number=number, name=str(number)) for number in range(4)]
    return BoxPart(
        categories=names, several=choice.several, candidates=choice.candidates, nms_iou=choice.nms_iou, **rest
    )


def scored() -> Scored:
    """Boxes of which many overlap, some reach out of the image and some have no area; many scores are equal, and some
    are no numbers."""
    draw = torch.Generator().manual_seed(5)
    boxes, classes = 700, 4
    scores = torch.randint(25, (1, boxes, classes), generator=draw) / 24
    scores[0, ::9] = torch.rand(len(scores[0, ::9]), classes, generator=draw)
    scores[0, 5:600:97] = torch.nan
    sides = 0.3 * torch.rand(1, boxes, 2, generator=draw) - 0.01
    places = torch.cat((1.2 * torch.rand(1, boxes, 2, generator=draw) - 0.1, sides), 2)
    return Scored(scores, places, torch.rand(1, boxes, generator=draw) < 0.9)


@pytest.mark.parametrize("several", [True, False])
@pytest.mark.parametrize(("candidates", "nms_iou"), [(None, None), (100, None), (100, 0.5), (2000, 0.3), (None, 1.0)])
def test_the_same_boxes_come_in_the_same_order_as_with_torch(
    several: bool, candidates: int | None, nms_iou: float | None
) -> None:
    choice, given = Choice(several, candidates, nms_iou), scored()
    (picked,) = chosen(given, corners(given.boxes), choice)
    boxes = cut(given.boxes[0, picked.places])
    expected = Found(picked.scores, picked.labels, boxes)
    kept = expected.scores >= LEAST
    mine = found(*(item[0].numpy() for item in given), part(choice), LEAST)
    assert len(mine.scores) == int(kept.sum()) > 10
    assert np.array_equal(mine.scores, expected.scores[kept].numpy())
    assert np.array_equal(mine.labels, expected.labels[kept].numpy())
    assert np.array_equal(mine.boxes, given.boxes[0, picked.places][kept].numpy())
    half = boxes[kept].double()
    scale = torch.tensor([200, 100, 200, 100])
    assert np.array_equal(in_pixels(mine.boxes, 100, 200), (corners(half) * scale).numpy())


def test_nothing_is_found_where_no_box_is_of_the_image_or_sure_enough() -> None:
    given = [item[0].numpy() for item in scored()]
    choice = part(Choice(several=True, nms_iou=0.5))
    assert not len(found(given[0], given[1], np.zeros_like(given[2]), choice, LEAST).scores)
    assert not len(found(given[0] / 8, given[1], given[2], choice, LEAST).scores)
