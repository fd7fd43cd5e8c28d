"""Overlap of boxes, and which of those that overlap survive."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from zoo.models.detection.overlap import pairwise_iou, surviving


def test_overlap_is_intersection_over_union() -> None:
    one = torch.tensor([[0.0, 0.0, 4.0, 2.0], [1.0, 1.0, 1.0, 1.0], [3.0, 0.0, 1.0, 2.0]])
    other = torch.tensor([[0.0, 0.0, 4.0, 2.0], [2.0, 1.0, 6.0, 3.0], [9.0, 9.0, 10.0, 10.0]])
    expected = [[1.0, 2 / 14, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    assert pairwise_iou(one, other).tolist() == [pytest.approx(row) for row in expected]


@pytest.mark.parametrize("block", [7, 512])
def test_a_box_survives_unless_a_surer_survivor_of_its_class_overlaps_it_too_much(
    monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr("zoo.models.detection.overlap._BLOCK", block)
    draw = torch.Generator().manual_seed(0)
    low = torch.rand(60, 2, generator=draw)
    boxes = torch.cat((low, low + 0.2 + 0.3 * torch.rand(60, 2, generator=draw)), 1)
    classes = torch.randint(2, (60,), generator=draw)
    kept: list[int] = []
    for number in range(60):  # the rule itself, box by box
        overlaps = pairwise_iou(boxes[number : number + 1], boxes)[0]
        if all(classes[other] != classes[number] or overlaps[other] <= 0.4 for other in kept):
            kept.append(number)
    assert 2 < len(kept) < 60
    assert surviving(boxes, classes, 0.4).tolist() == kept


def test_of_very_many_boxes_no_square_of_their_number_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """`candidates` may be a hundred thousand: all pairs of so many would be 40 GB."""
    largest = [0]

    def counted(one: Tensor, other: Tensor) -> Tensor:
        found = pairwise_iou(one, other)
        largest[0] = max(largest[0], found.numel())
        return found

    monkeypatch.setattr("zoo.models.detection.overlap.pairwise_iou", counted)
    low = torch.arange(3000.0)[:, None].repeat(1, 2)
    kept = surviving(torch.cat((low, low + 0.5), 1), torch.zeros(3000, dtype=torch.int64), 0.5)
    assert len(kept) == 3000
    assert largest[0] <= 512 * 3000
