"""What is asked of matchers."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from torch import Tensor

from zoo.models.detection.contracts import Candidates, Labels, Matched, Matcher
from zoo.spec.options import Chosen
from zoo.testing.module import TorchSuite, random_tensor
from zoo.testing.surroundings import untouched_surroundings

CLASSES = 3
SIZE = torch.tensor([40, 120])


def some_boxes(count: int, seed: int) -> Tensor:
    """``cx, cy, w, h`` ``[count, 4]``, inside of the image, most of them wide and low."""
    draw = torch.Generator().manual_seed(seed)
    sides = torch.rand(count, 2, generator=draw) * torch.tensor([0.5, 0.3]) + 0.05
    centres = sides / 2 + torch.rand(count, 2, generator=draw) * (1 - sides)
    return torch.cat((centres, sides), -1)


def some_candidates(count: int, seed: int = 0, *, places: bool = True) -> Candidates:
    """Random ones, each box about the place that it is predicted from."""
    boxes = some_boxes(count, seed)
    scores = random_tensor(count, CLASSES, seed=seed + 1).sigmoid()
    return Candidates(scores, boxes, boxes[:, :2] if places else None)


def some_labels(count: int, seed: int = 7) -> Labels:
    """That many random boxes to be found, in an image of 40 x 120 pixels."""
    draw = torch.Generator().manual_seed(seed)
    classes = torch.randint(CLASSES, (count,), generator=draw)
    return {"class_labels": classes, "boxes": some_boxes(count, seed), "size": SIZE}


class MatcherSuite(TorchSuite):
    """Matchers: see `zoo.models.detection.contracts.Matcher`."""

    kind: ClassVar[str] = "matcher"

    def build(self, chosen: Chosen) -> Matcher:
        """The matcher, as the host builds it."""
        matcher: Matcher = chosen.create()
        assert isinstance(matcher, Matcher)
        return matcher

    @pytest.mark.parametrize(("candidates", "truths"), [(40, 6), (3, 6), (6, 6), (1, 1)])
    def test_a_candidate_is_in_one_pair_at_most(self, chosen: Chosen, candidates: int, truths: int) -> None:
        matcher = self.build(chosen)
        matched: Matched = matcher(some_candidates(candidates), some_labels(truths))
        first, second, weights = matched.candidates, matched.targets, matched.weights
        assert first.dtype == second.dtype == torch.int64
        assert weights.dtype == torch.float32
        assert len(first) == len(second) == len(weights)
        assert ((first >= 0) & (first < candidates)).all()
        assert ((second >= 0) & (second < truths)).all()
        assert len(set(first.tolist())) == len(first), "a candidate answers for two boxes"
        assert ((weights > 0) & (weights <= 1)).all()
        if matcher.one_to_one:
            assert len(set(second.tolist())) == len(second), "a box has two candidates"
            assert len(first) == min(candidates, truths)

    def test_where_nothing_is_to_be_found_there_are_no_pairs(self, chosen: Chosen) -> None:
        matched = self.build(chosen)(some_candidates(5), some_labels(0))
        assert matched.candidates.shape == matched.targets.shape == matched.weights.shape == (0,)

    @pytest.mark.parametrize("places", [True, False])
    def test_exact_boxes_of_the_right_class_answer_for_their_own(self, chosen: Chosen, places: bool) -> None:
        """Among others that are far off and sure of nothing."""
        labels = some_labels(5)
        right = torch.nn.functional.one_hot(labels["class_labels"], CLASSES).float()
        scores = torch.cat((torch.full((4, CLASSES), 0.01), 0.98 * right + 0.01))
        far = torch.tensor([[0.01, 0.01, 0.01, 0.01]]).repeat(4, 1)
        boxes = torch.cat((far, labels["boxes"]))
        matched = self.build(chosen)(Candidates(scores, boxes, boxes[:, :2] if places else None), labels)
        pairs = dict(zip(matched.candidates.tolist(), matched.targets.tolist(), strict=True))
        assert {number: pairs.get(4 + number) for number in range(5)} == {number: number for number in range(5)}

    def test_the_order_of_candidates_is_nothing_to_it(self, chosen: Chosen) -> None:
        matcher, labels = self.build(chosen), some_labels(4)
        given = some_candidates(30)
        order = torch.randperm(30, generator=torch.Generator().manual_seed(2))
        assert given.places is not None
        turned = matcher(Candidates(given.scores[order], given.boxes[order], given.places[order]), labels)
        straight = matcher(given, labels)
        found = set(zip(order[turned.candidates].tolist(), turned.targets.tolist(), strict=True))
        assert found == set(zip(straight.candidates.tolist(), straight.targets.tolist(), strict=True))

    def test_numbers_that_are_not_finite_are_borne(self, chosen: Chosen) -> None:
        given = some_candidates(8)
        given.scores[0] = float("nan")
        given.boxes[1] = float("nan")
        given.boxes[2] = float("inf")
        matched = self.build(chosen)(given, some_labels(3))
        assert torch.isfinite(matched.weights).all()
        bad = {0, 1, 2} & set(matched.candidates.tolist())
        if self.build(chosen).one_to_one:
            assert not bad, "there are enough candidates whose numbers are finite"

    def test_it_is_a_function_without_gradients(self, chosen: Chosen) -> None:
        matcher, labels = self.build(chosen), some_labels(4)
        given = some_candidates(20)
        given.scores.requires_grad_()
        given.boxes.requires_grad_()
        with untouched_surroundings():
            first, second = matcher(given, labels), matcher(given, labels)
        assert not first.weights.requires_grad
        for name in ("candidates", "targets", "weights"):
            assert torch.equal(getattr(first, name), getattr(second, name)), name
