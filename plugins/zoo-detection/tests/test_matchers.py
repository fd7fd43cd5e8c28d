"""What the matchers choose, told by trying every pairing and by the paper's rules."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from zoo.errors import InputError
from zoo.models.detection import Candidates
from zoo.models.detection.contracts import corners
from zoo.models.detection.overlap import pairwise_iou, surviving
from zoo.spec import resolve_model

Labels = list[dict[str, Tensor]]
FORMS = ("probability", "focal")


def random_candidates(count: int, seed: int) -> Candidates:
    draw = torch.Generator().manual_seed(seed)
    sides = 0.1 + 0.4 * torch.rand(count, 2, generator=draw)
    centres = torch.rand(count, 2, generator=draw)
    return Candidates(torch.rand(count, 3, generator=draw), torch.cat((centres, sides), 1))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("count", [3, 6])
def test_no_pairing_is_cheaper_than_hungarians(
    created: Callable[..., Any], labels: Labels, form: str, count: int
) -> None:
    """Four boxes and three or six candidates: all pairings are tried."""
    matcher = created("matcher", "hungarian", class_form=form, box_loss="ciou")
    for seed in range(4):
        candidates = random_candidates(count, seed)
        costs = matcher.costs(candidates, labels[0])  # [Q, 4]
        found = matcher(candidates, labels[0])
        cost = float(costs[found.candidates, found.targets].sum())
        fewer, more = sorted((count, 4))
        straight = costs if count == fewer else costs.T  # [fewer, more]
        cheapest = min(
            float(straight[range(fewer), list(chosen)].sum()) for chosen in itertools.permutations(range(more), fewer)
        )
        assert cost == pytest.approx(cheapest, rel=1e-6)


def test_costs_are_added_up_by_their_weights(created: Callable[..., Any], labels: Labels) -> None:
    candidates = random_candidates(5, 0)
    none = {"class_cost": 0.0, "l1_cost": 0.0, "box_cost": 0.0, "box_loss": "giou"}

    def costs(**weights: float) -> Tensor:
        found: Tensor = created("matcher", "hungarian", **{**none, **weights}).costs(candidates, labels[0])
        return found

    parts = {name: costs(**{name: 1.0}) for name in ("class_cost", "l1_cost", "box_cost")}
    torch.testing.assert_close(parts["class_cost"], -candidates.scores[:, labels[0]["class_labels"]])
    distance = torch.cdist(candidates.boxes, labels[0]["boxes"], p=1)
    torch.testing.assert_close(parts["l1_cost"], distance, rtol=1e-5, atol=1e-6)
    together = costs(class_cost=2.0, l1_cost=0.5, box_cost=3.0)
    torch.testing.assert_close(together, 2 * parts["class_cost"] + parts["l1_cost"] / 2 + 3 * parts["box_cost"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "box_cost is the weight of a box_loss, and there is none"),
        ({"class_cost": 0.0, "l1_cost": 0.0, "box_cost": 0.0}, "are all 0"),
    ],
)
def test_costs_that_decide_nothing_are_refused(options: dict[str, Any], said: str) -> None:
    detector = {"use": "detr", "box_loss": "giou", "matcher": {"use": "hungarian", **options}}
    with pytest.raises(InputError, match=said):
        resolve_model({"architecture": "detector", "detector": detector})


def test_a_loss_of_rotated_boxes_is_refused(created: Callable[..., Any]) -> None:
    with pytest.raises(InputError, match="'kfiou' is one of boxes with 5 coordinates, a detector's have 4"):
        created("matcher", "hungarian", box_loss="kfiou")


@pytest.mark.parametrize(
    "loss", ["nwd", {"use": "inner-iou", "of": "nwd"}, {"use": "fused", "of": "nwd", "backend": "eager"}]
)
@pytest.mark.parametrize("place", ["matcher", "detector"])
def test_a_loss_whose_length_is_in_pixels_is_refused(created: Callable[..., Any], loss: Any, place: str) -> None:
    """What a user who names `nwd` gets: its constant is of pixels, and no box of a detector would overlap another."""
    with pytest.raises(InputError, match=r"has a length of 12\.7 among its options, longer than any image"):
        if place == "matcher":
            created("matcher", "hungarian", box_loss=loss)
        else:
            created("detector", "anchor-free", 1, matcher="task-aligned", box_loss=loss, width=4, neck=4)


def test_a_length_in_units_of_the_image_is_taken(created: Callable[..., Any], labels: Labels) -> None:
    """A box that is off by the constant, to the right, costs 1 - exp(-1): in an image of 60 x 100 pixels, of 2."""
    matcher = created(
        "matcher", "hungarian", class_cost=0.0, l1_cost=0.0, box_cost=1.0, box_loss={"use": "nwd", "constant": 0.02}
    )
    moved = labels[0]["boxes"] + torch.tensor([0.02, 0.0, 0.0, 0.0])
    costs = matcher.costs(Candidates(torch.ones(4, 3), moved), labels[0])
    torch.testing.assert_close(costs.diagonal(), torch.full((4,), 1 - math.exp(-1)))


TRUTH: dict[str, Tensor] = {
    "class_labels": torch.tensor([0, 0]),
    "boxes": torch.tensor([[0.5, 0.5, 0.4, 0.2], [0.6, 0.5, 0.4, 0.2]]),
    "size": torch.tensor([100, 100]),
}


def about(places: list[tuple[float, float]], boxes: list[list[float]], scores: list[float]) -> Candidates:
    return Candidates(torch.tensor(scores)[:, None], torch.tensor(boxes), torch.tensor(places))


def test_the_alignment_is_the_papers_and_the_best_weighs_its_overlap(created: Callable[..., Any]) -> None:
    """TOOD, section 3.2.2: t = s^a u^b, scaled to have the largest overlap of the box as its largest."""
    truth = {name: item[:1] if name != "size" else item for name, item in TRUTH.items()}
    shifted = [[0.5 + by, 0.5, 0.4, 0.2] for by in (0.0, 0.05, 0.1)]
    overlaps = [1.0, 0.35 / 0.45, 0.3 / 0.5]
    scores = [0.2, 0.9, 0.5]
    found = created("matcher", "task-aligned", topk=2, alpha=1.0, beta=2.0)(
        about([(0.5, 0.5)] * 3, shifted, scores), truth
    )
    alignments = [score * overlap**2 for score, overlap in zip(scores, overlaps, strict=True)]
    # .2, .544, .18: the last one is not among the two best; the second one is the best, and overlaps less.
    assert found.candidates.tolist() == [0, 1]
    expected = [alignment * max(overlaps[:2]) / max(alignments) for alignment in alignments[:2]]
    assert found.weights.tolist() == pytest.approx(expected, rel=1e-5)


def test_places_outside_of_a_box_do_not_answer_for_it_unless_it_is_taken_to_be_larger(
    created: Callable[..., Any],
) -> None:
    thin = {**TRUTH, "class_labels": torch.tensor([0]), "boxes": torch.tensor([[0.5, 0.52, 0.8, 0.01]])}
    boxes = [[0.5, 0.52, 0.8, 0.01]] * 2
    places = [(0.5, 0.5), (0.5, 0.9)]
    matcher = created("matcher", "task-aligned")
    candidates = about(places, boxes, [0.5, 0.5])
    assert not len(matcher(candidates, thin).candidates), "no place lies in a line of one pixel"
    reaching = Candidates(candidates.scores, candidates.boxes, candidates.places, torch.full((2, 2), 0.08))
    assert matcher(reaching, thin).candidates.tolist() == [0]


@pytest.mark.parametrize(("side", "step"), [(64, 0.5), (905, 4.0)])
def test_from_a_stride_on_every_box_has_a_place_wherever_it_lies(
    created: Callable[..., Any], side: int, step: float
) -> None:
    """Of boxes of two pixels everywhere, also half way between two places (four and twelve pixels, ...): such
    a box has both."""
    rows = (torch.arange(-(-side // 8)) + 0.5) * 8
    places = torch.stack((torch.full_like(rows, 4.0), rows), -1) / side  # [q, 2]
    reach = torch.full_like(places, 8.0 / side)
    candidates = Candidates(torch.ones(len(rows), 1), torch.cat((places, reach), -1), places, reach)
    middles = torch.arange(4.0, side - 1, step)
    boxes = torch.stack((torch.full_like(middles, 4.0), middles, torch.full_like(middles, 8.0)), -1)  # [n, 3]
    boxes = torch.cat((boxes, torch.full((len(middles), 1), 2.0)), -1) / side
    matcher = created("matcher", "task-aligned")
    for middle, box in zip(middles.tolist(), boxes, strict=True):
        truth = {"class_labels": torch.tensor([0]), "boxes": box[None], "size": torch.tensor([side, side])}
        expected = 2 if middle % 8 == 0 and 8 <= middle <= float(rows[-1]) else 1
        assert len(matcher(candidates, truth).candidates) == expected, f"a box at {middle} of {side} pixels"


def test_a_box_without_width_holds_no_place_but_by_its_reach(created: Callable[..., Any]) -> None:
    flat = {**TRUTH, "class_labels": torch.tensor([0]), "boxes": torch.tensor([[0.5, 0.5, 0.0, 0.4]])}
    candidates = about([(0.5, 0.5)], [[0.5, 0.5, 0.2, 0.4]], [0.5])
    matcher = created("matcher", "task-aligned")
    assert not len(matcher(candidates, flat).candidates)
    assert not len(matcher(replace(candidates, reach=torch.zeros(1, 2)), flat).candidates)
    assert len(matcher(replace(candidates, reach=torch.full((1, 2), 0.1)), flat).candidates) == 1


@pytest.mark.parametrize("topk", [2, 5])
def test_places_are_chosen_by_the_papers_rules_one_box_after_the_other(created: Callable[..., Any], topk: int) -> None:
    """Crowded boxes, so that places are in several."""
    draw = torch.Generator().manual_seed(6)
    places = torch.rand(120, 2, generator=draw)
    given = torch.cat((places + 0.05 * torch.randn(120, 2, generator=draw), 0.2 + 0.3 * places.flip(0)), 1)
    candidates = Candidates(torch.rand(120, 3, generator=draw), given, places)
    classes = torch.randint(3, (9,), generator=draw)
    wanted = torch.cat((0.3 + 0.4 * torch.rand(9, 2, generator=draw), 0.2 + 0.3 * torch.rand(9, 2, generator=draw)), 1)
    overlap, claims = pairwise_iou(corners(given), corners(wanted)).double().tolist(), {}
    for number, (x, y, w, h) in enumerate(wanted.tolist()):
        inside = [
            (float(candidates.scores[place, classes[number]]) * overlap[place][number] ** 6, place)
            for place, (px, py) in enumerate(places.tolist())
            if abs(px - x) < w / 2 and abs(py - y) < h / 2
        ]
        for alignment, place in sorted(inside, reverse=True)[:topk]:
            claims.setdefault(place, []).append((overlap[place][number], number, alignment))
    assert any(len(claim) > 1 for claim in claims.values())
    owners = {place: max(claim) for place, claim in claims.items()}
    found = created("matcher", "task-aligned", topk=topk)(
        candidates, {"class_labels": classes, "boxes": wanted, "size": torch.tensor([90, 50])}
    )
    pairs = dict(zip(found.candidates.tolist(), found.targets.tolist(), strict=True))
    assert pairs == {place: number for place, (_, number, _) in owners.items()}
    for place, weight in zip(found.candidates.tolist(), found.weights.tolist(), strict=True):
        others = [owner for owner in owners.values() if owner[1] == owners[place][1]]
        most, highest = max(owner[2] for owner in others), max(owner[0] for owner in others)
        assert weight == pytest.approx(max(1e-4, owners[place][2] / most * highest), rel=1e-4)


def test_a_place_in_two_boxes_answers_for_the_one_it_overlaps_more(created: Callable[..., Any]) -> None:
    found = created("matcher", "task-aligned")(about([(0.55, 0.5)], [[0.58, 0.5, 0.4, 0.2]], [0.5]), TRUTH)
    assert (found.candidates.tolist(), found.targets.tolist()) == ([0], [1])


def test_a_box_that_nothing_overlaps_takes_the_nearest_places(created: Callable[..., Any]) -> None:
    """As in a model that knows nothing: its boxes are then drawn nearer, with the least weight there is."""
    truth = {**TRUTH, "class_labels": torch.tensor([0]), "boxes": torch.tensor([[0.5, 0.5, 0.8, 0.8]])}
    places = [(0.2, 0.2), (0.45, 0.5), (0.8, 0.3), (0.55, 0.45)]
    far = [[0.01, 0.01, 0.001, 0.001]] * 4
    found = created("matcher", "task-aligned", topk=2)(about(places, far, [0.5] * 4), truth)
    assert found.candidates.tolist() == [1, 3]
    assert found.weights.tolist() == pytest.approx([1e-4, 1e-4])


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
