"""The kit fails detectors and matchers that break their contracts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.models.detection import Candidates, Choice, Detector, Found, Labels, Matched, Matcher, Scored
from zoo.models.detection.contracts import real_sizes
from zoo.spec.options import Options
from zoo.testing import ComponentSuite, DetectorSuite, MatcherSuite

Installed = Callable[..., ComponentSuite]
Run = Callable[..., None]
_STRIDE = 16


class Grid(Detector):
    """A box from each square of 16 x 16 pixels; the one that is nearest to a true box's centre answers for it."""

    padding_invariant = True

    def __init__(self, options: Options, classes: int) -> None:
        super().__init__(options, classes)
        self.reads = nn.Conv2d(3, 64, _STRIDE, _STRIDE)
        self.says = nn.Linear(64, classes + 4)

    @property
    def weights(self) -> Mapping[str, float]:
        return {"class": 1.0, "box": 2.0}

    def forward(self, pixel_values: Tensor, pixel_mask: Tensor) -> Mapping[str, Any]:
        height, width = pixel_values.shape[-2:]
        padding = (0, -width % _STRIDE, 0, -height % _STRIDE)
        x = self.reads(F.pad(pixel_values, padding)).flatten(2).mT  # [B, Q, 64]
        said = self.says(x.relu()).float()  # [B, Q, C + 4]
        rows, columns = ((size + -size % _STRIDE) // _STRIDE for size in (height, width))
        y, x = torch.meshgrid(torch.arange(rows) + 0.5, torch.arange(columns) + 0.5, indexing="ij")
        places = torch.stack((x, y), -1).reshape(-1, 2) * _STRIDE  # [Q, 2]
        centres = places / real_sizes(pixel_mask).flip(-1)[:, None]  # [B, Q, 2]
        return {
            "logits": said[..., : self.classes],
            "boxes": torch.cat((centres + 0.1 * said[..., -4:-2].tanh(), said[..., -2:].sigmoid()), -1),
            "places": centres,
            "real": F.max_pool2d(F.pad(pixel_mask.float(), padding), _STRIDE).flatten(1).bool(),  # [B, Q]
        }

    def losses(self, predictions: Mapping[str, Any], labels: Sequence[Labels]) -> Mapping[str, Tensor]:
        wanted = torch.zeros_like(predictions["logits"])  # [B, Q, C]
        box, count = predictions["boxes"].sum() * 0.0, 0
        for number, one in enumerate(labels):
            near = torch.cdist(one["boxes"][:, :2], predictions["places"][number]).argmin(1)  # [n]
            wanted[number, near, self.taught(one["class_labels"])] = 1.0
            box = box + (predictions["boxes"][number, near] - one["boxes"]).abs().sum()
            count += len(near)
        entropy = F.binary_cross_entropy_with_logits(predictions["logits"], wanted)
        return {"class": 10 * entropy, "box": self.mean(box, count)}

    def taught(self, classes: Tensor) -> Tensor:
        return classes

    def mean(self, total: Tensor, count: int) -> Tensor:
        return total / max(1, count)

    def found(self, predictions: Mapping[str, Any]) -> list[Found]:
        answers = []
        for logits, boxes, real in zip(*(predictions[name] for name in ("logits", "boxes", "real")), strict=True):
            scores, classes = logits[real].sigmoid().max(-1)  # [q] each
            order = scores.argsort(descending=True)
            answers.append(Found(scores[order], classes[order], boxes[real][order]))
        return answers


class Coarse(Grid):
    """Adds up its losses in half precision."""

    def mean(self, total: Tensor, count: int) -> Tensor:
        return super().mean(total.bfloat16(), count)


class BlindToClasses(Grid):
    """Teaches one class alone."""

    def taught(self, classes: Tensor) -> Tensor:
        return torch.zeros_like(classes)


class MeanOfNothing(Grid):
    """Divides by the boxes that are there."""

    def mean(self, total: Tensor, count: int) -> Tensor:
        return total / count


class SeesOthers(Grid):
    """Normalises over the batch."""

    def forward(self, pixel_values: Tensor, pixel_mask: Tensor) -> Mapping[str, Any]:
        return super().forward(pixel_values - pixel_values.mean(0), pixel_mask)


class SeesPadding(Grid):
    """Says boxes of padding too."""

    def found(self, predictions: Mapping[str, Any]) -> list[Found]:
        return super().found({**predictions, "real": torch.ones_like(predictions["real"])})


class LeastSureFirst(Grid):
    def found(self, predictions: Mapping[str, Any]) -> list[Found]:
        flipped = [
            (item.scores.flip(0), item.labels.flip(0), item.boxes.flip(0)) for item in super().found(predictions)
        ]
        return [Found(*item) for item in flipped]


class ChoosesOtherwise(Grid):
    """Says that it takes away what overlaps, and does not."""

    choice = Choice(several=False, nms_iou=0.01)

    def scored(self, predictions: Mapping[str, Any]) -> Scored:
        return Scored(predictions["logits"].sigmoid(), predictions["boxes"], predictions["real"])


class SaysFewer(Grid):
    """Says that it finds three boxes."""

    most = 3


class WeighsNothing(Grid):
    """Weighs a loss that it has not."""

    @property
    def weights(self) -> Mapping[str, float]:
        return {**super().weights, "giou": 1.0}


class NeverLearns(Grid):
    """Cuts its boxes off from the gradient."""

    def losses(self, predictions: Mapping[str, Any], labels: Sequence[Labels]) -> Mapping[str, Tensor]:
        return super().losses({**predictions, "boxes": predictions["boxes"].detach()}, labels)


class Forgets(Grid):
    """Keeps something that is not saved."""

    def __init__(self, options: Options, classes: int) -> None:
        super().__init__(options, classes)
        self.shift = torch.rand(())

    def forward(self, pixel_values: Tensor, pixel_mask: Tensor) -> Mapping[str, Any]:
        return super().forward(pixel_values + self.shift, pixel_mask)


@pytest.mark.parametrize(
    ("wrong", "test", "arguments", "said"),
    [
        (BlindToClasses, "test_the_class_that_is_taught_is_the_one_that_is_found", (1,), "are of the classes"),
        (MeanOfNothing, "test_losses_and_gradients_are_finite_whatever_there_is_to_find", ((0, 0),), "box is nan"),
        (WeighsNothing, "test_losses_and_gradients_are_finite_whatever_there_is_to_find", ((3, 1),), "giou"),
        (SeesOthers, "test_images_of_a_batch_do_not_see_each_other", (), "image 0"),
        (SeesPadding, "test_padding_changes_nothing_where_that_is_claimed", (), r"in \(64, 96\)"),
        (Coarse, "test_mixed_precision_gives_losses_in_single_of_like_size", (), "box"),
        (LeastSureFirst, "test_what_is_found_is_sorted_and_of_the_classes", (), "not surest first"),
        (
            ChoosesOtherwise,
            "test_what_is_found_is_what_is_chosen_from_its_scores_and_boxes",
            (),
            "than its choice says",
        ),
        (SaysFewer, "test_what_is_found_is_sorted_and_of_the_classes", (), "more boxes than it says"),
        (NeverLearns, "test_boxes_take_the_shape_that_is_taught", (), "are taught"),
    ],
)
def test_a_detector_that_breaks_its_contract_is_caught(
    installed: Installed, run: Run, wrong: type[Grid], test: str, arguments: tuple[Any, ...], said: str
) -> None:
    with pytest.raises((AssertionError, KeyError, pytest.fail.Exception), match=said):
        run(installed(DetectorSuite, wrong), test, *arguments)


def test_a_detector_that_does_not_save_all_is_caught(installed: Installed, run: Run, tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        run(installed(DetectorSuite, Forgets), "test_saved_and_loaded_it_finds_the_same", tmp_path)


def test_a_detector_that_keeps_its_contract_passes(installed: Installed, run: Run, tmp_path: Path) -> None:
    """All that the others fail: so they fail for what is wrong with them."""
    suite = installed(DetectorSuite, Grid)
    for label in (0, 1):
        run(suite, "test_the_class_that_is_taught_is_the_one_that_is_found", label)
    for counts in ((0, 0), (3, 1)):
        run(suite, "test_losses_and_gradients_are_finite_whatever_there_is_to_find", counts)
    run(suite, "test_images_of_a_batch_do_not_see_each_other")
    run(suite, "test_padding_changes_nothing_where_that_is_claimed")
    run(suite, "test_what_is_found_is_sorted_and_of_the_classes")
    run(suite, "test_a_few_steps_bring_the_surest_boxes_nearer")
    run(suite, "test_mixed_precision_gives_losses_in_single_of_like_size")
    run(suite, "test_boxes_take_the_shape_that_is_taught")
    run(suite, "test_saved_and_loaded_it_finds_the_same", tmp_path)


class Nearest(Matcher):
    """Pairs what is cheapest, again and again."""

    @torch.no_grad()
    def forward(self, candidates: Candidates, labels: Labels) -> Matched:
        cost = torch.nan_to_num(self.costs(candidates, labels), nan=1e9, posinf=1e9)  # [Q, n]
        rows, columns = [], []
        for _ in range(min(cost.shape)):
            place = int(cost.argmin())
            rows.append(place // cost.shape[1])
            columns.append(place % cost.shape[1])
            self.take(cost, rows[-1], columns[-1])
        pairs = (torch.tensor(item, dtype=torch.int64) for item in (rows, columns))
        return Matched(*pairs, torch.ones(len(rows)))

    def costs(self, candidates: Candidates, labels: Labels) -> Tensor:
        right = candidates.scores[:, labels["class_labels"]]  # [Q, n]
        return (candidates.boxes[:, None] - labels["boxes"]).abs().sum(-1) - right

    def take(self, cost: Tensor, row: int, column: int) -> None:
        cost[row], cost[:, column] = torch.inf, torch.inf


class Twice(Nearest):
    """Gives a candidate to several boxes."""

    def take(self, cost: Tensor, row: int, column: int) -> None:
        cost[:, column] = torch.inf


class Trusting(Nearest):
    """Takes what is no number for the best there is."""

    def costs(self, candidates: Candidates, labels: Labels) -> Tensor:
        return torch.nan_to_num(super().costs(candidates, labels), nan=-1e9)


class FirstComeFirstServed(Nearest):
    """Looks at the places of candidates in their list."""

    def costs(self, candidates: Candidates, labels: Labels) -> Tensor:
        return torch.arange(len(candidates.boxes))[:, None] + torch.zeros(len(labels["boxes"]))


class Sure(Nearest):
    """Weighs pairs by numbers that want gradients."""

    def forward(self, candidates: Candidates, labels: Labels) -> Matched:
        found = super().forward(candidates, labels)
        return replace(found, weights=candidates.scores[found.candidates].amax(-1))


class Draws(Nearest):
    def costs(self, candidates: Candidates, labels: Labels) -> Tensor:
        return super().costs(candidates, labels) + torch.rand(len(candidates.boxes), len(labels["boxes"]))


@pytest.mark.parametrize(
    ("wrong", "test", "arguments"),
    [
        (Twice, "test_a_candidate_is_in_one_pair_at_most", (3, 6)),
        (Trusting, "test_numbers_that_are_not_finite_are_borne", ()),
        (FirstComeFirstServed, "test_the_order_of_candidates_is_nothing_to_it", ()),
        (FirstComeFirstServed, "test_exact_boxes_of_the_right_class_answer_for_their_own", (True,)),
        (Sure, "test_it_is_a_function_without_gradients", ()),
        (Draws, "test_it_is_a_function_without_gradients", ()),
    ],
)
def test_a_matcher_that_breaks_its_contract_is_caught(
    installed: Installed, run: Run, wrong: type[Nearest], test: str, arguments: tuple[Any, ...]
) -> None:
    run(installed(MatcherSuite, Nearest), test, *arguments)
    with pytest.raises(AssertionError):
        run(installed(MatcherSuite, wrong), test, *arguments)
