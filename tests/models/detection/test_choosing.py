"""Which boxes are found, by the rule itself and with equal scores."""

from __future__ import annotations

import pytest
import torch

from zoo.models.detection.choosing import Choice, Scored, chosen
from zoo.models.detection.contracts import corners


def some_boxes(seed: int, *, boxes: int = 40, classes: int = 3, steps: int = 12) -> Scored:
    """Two images; scores are of a few values alone, so that many are equal."""
    draw = torch.Generator().manual_seed(seed)
    scores = torch.randint(steps + 1, (2, boxes, classes), generator=draw) / steps
    places = torch.cat(
        (torch.rand(2, boxes, 2, generator=draw), 0.1 + 0.4 * torch.rand(2, boxes, 2, generator=draw)), 2
    )
    return Scored(scores, places, torch.rand(2, boxes, generator=draw) < 0.8)


@pytest.mark.parametrize("several", [True, False])
@pytest.mark.parametrize("candidates", [None, 7, 1000])
def test_the_surest_are_found_and_of_equal_ones_the_first(several: bool, candidates: int | None) -> None:
    scored = some_boxes(1)
    for number, found in enumerate(chosen(scored, corners(scored.boxes), Choice(several, candidates))):
        real = scored.real[number].nonzero()[:, 0].tolist()
        rows = [(place, scored.scores[number, place].tolist()) for place in real]
        if several:
            pairs = [(-score, place, label) for place, row in rows for label, score in enumerate(row)]
        else:
            pairs = [(-max(row), place, row.index(max(row))) for place, row in rows]
        expected = sorted(pairs)[: candidates or len(real)]
        told = zip((-found.scores).tolist(), found.places.tolist(), found.labels.tolist(), strict=True)
        assert list(told) == expected


def test_what_overlaps_a_surer_one_of_its_class_is_taken_away() -> None:
    boxes = torch.tensor([[0.5, 0.5, 0.4, 0.4], [0.52, 0.5, 0.4, 0.4], [0.1, 0.1, 0.1, 0.1]])
    scores = torch.tensor([[0.5, 0.2], [0.7, 0.1], [0.3, 0.6]])
    scored = Scored(scores[None], boxes[None], torch.ones(1, 3, dtype=torch.bool))
    (found,) = chosen(scored, corners(scored.boxes), Choice(several=False, nms_iou=0.5))
    assert (found.places.tolist(), found.labels.tolist()) == ([1, 2], [0, 1])


def test_scores_that_are_no_numbers_and_images_without_boxes_give_nothing() -> None:
    scored = some_boxes(2)
    scored.scores[0, 3:] = torch.nan
    scored.real[1] = False
    first, second = chosen(scored, corners(scored.boxes), Choice(several=True))
    assert len(first.scores)
    assert set(first.places.tolist()) <= {0, 1, 2}
    assert not len(second.scores)
