"""The convolutional detector: its distances, its losses, and what its options are for."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from zoo_detection.anchor_free import distribution_loss

from zoo.models.detection.contracts import corners
from zoo.models.detection.overlap import pairwise_iou
from zoo.testing.detector import labels_of, some_images, surest_overlap

Labels = list[dict[str, Tensor]]
SMALL = {"width": 8, "neck": 16, "head_blocks": 1, "matcher": "task-aligned", "box_loss": "giou"}


def test_a_whole_distance_is_learned_as_one_bin() -> None:
    draw = torch.Generator().manual_seed(0)
    sides = torch.randn(5, 9, generator=draw)
    distances = torch.tensor([0.0, 1.0, 3.0, 5.0, 7.0])
    expected = torch.nn.functional.cross_entropy(sides, distances.long(), reduction="none")
    torch.testing.assert_close(distribution_loss(sides, distances), expected)


def test_a_distance_between_bins_is_learned_best_by_their_mixture_whose_mean_it_is() -> None:
    """Its loss is then the entropy of the mixture (Gibbs' inequality), and its gradient is 0."""
    mixture = torch.full((1, 6), 1e-9)
    mixture[0, 2], mixture[0, 3] = 0.7, 0.3
    sides = mixture.log().requires_grad_()
    loss = distribution_loss(sides, torch.tensor([2.3]))
    entropy = -(0.7 * math.log(0.7) + 0.3 * math.log(0.3))
    assert float(loss.detach()) == pytest.approx(entropy, abs=1e-5)
    (gradient,) = torch.autograd.grad(loss.sum(), sides)
    assert gradient.abs().max() < 1e-6
    assert float(mixture[0] @ torch.arange(6.0)) == pytest.approx(2.3)


def test_distances_outside_of_the_bins_count_as_the_nearest_inside() -> None:
    sides = torch.randn(1, 5, generator=torch.Generator().manual_seed(1))
    far, last = (distribution_loss(sides, torch.tensor([value])) for value in (90.0, 4.0))
    below, first = (distribution_loss(sides, torch.tensor([value])) for value in (-3.0, 0.0))
    assert torch.equal(far, last)
    assert torch.equal(below, first)
    assert torch.isfinite(torch.cat((far, below))).all()


def made(created: Callable[..., Any], **options: Any) -> Any:
    torch.manual_seed(0)
    return created("detector", "anchor-free", 2, **{**SMALL, **options}).eval()


def test_sides_that_are_distributions_reach_reg_max_strides_and_numbers_any_distance(
    created: Callable[..., Any],
) -> None:
    bounded, free = made(created, reg_max=4, levels=[8]), made(created, reg_max=0, levels=[8])
    for detector in (bounded, free):
        torch.nn.init.constant_(detector.regressor.output.bias, 3.5)
    with torch.no_grad():
        bounded.regressor.output.bias.unflatten(0, (4, 5))[:, -1] = 60.0  # all weight on the last bin
        images = some_images(1, 64, 64)
        widths = [detector(**images)["boxes"][..., 2].max() * 64 for detector in (bounded, free)]
    assert float(widths[0]) == pytest.approx(2 * 4 * 8, rel=1e-3)
    assert float(widths[1]) > 2 * 4 * 8


def test_mixed_precision_leaves_distances_as_exact_as_single(created: Callable[..., Any]) -> None:
    """They say where edges are: between 8 and 16 strides bfloat16 knows sixteenths of one and nothing between."""
    detector = made(created, reg_max=16)
    sides = 3 * torch.randn(20, 4, 17, generator=torch.Generator().manual_seed(2))
    expected = (sides.double().softmax(-1) * torch.arange(17.0)).sum(-1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = detector._distances(sides)
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-5)


def test_a_line_thinner_than_a_stride_has_places_with_a_side_floor_or_a_finer_level(
    created: Callable[..., Any],
) -> None:
    """A line of 2 pixels between the rows of places of stride 8, at 4, 12, ...; that of stride 4 has one at 6."""
    line = [{"class_labels": torch.tensor([0]), "boxes": torch.tensor([[0.5, 7.0 / 64, 0.9, 2.0 / 64]])}]
    line[0]["size"] = torch.tensor([64, 64])
    found = {}
    for name, options in (
        ("plain", {"levels": [8]}),
        ("floor", {"levels": [8], "side_floor": 1.0}),
        ("fine", {"levels": [4, 8]}),
    ):
        detector = made(created, **options)
        with torch.no_grad():
            predictions = detector(**some_images(1, 64, 64))
            found[name] = len(detector._matched(predictions, 0, line[0]).candidates)
    assert found["plain"] == 0
    assert found["floor"] > 0
    assert found["fine"] == 0, "its rows are at 2, 6 and 10, and the line lies between 6 and 8"


def test_losses_of_a_perfect_prediction_are_nothing(created: Callable[..., Any]) -> None:
    """One place, sure of its class, whose box is the true one: only the unsure others are left, and none are."""
    detector = made(created, levels=[8], reg_max=4)
    with torch.no_grad():
        predictions = dict(detector(**some_images(1, 8, 8)))
    assert predictions["places"].tolist() == [[4.0, 4.0]]
    sides = torch.full((1, 1, 4, 5), -80.0)
    sides[..., 0], sides[..., 1] = 0.0, 0.0  # half a stride, the mean of 0 and 1
    predictions |= {"sides": sides, "boxes": torch.tensor([[[0.5, 0.5, 1.0, 1.0]]])}
    predictions["logits"] = torch.tensor([[[40.0, -40.0]]])
    whole = {"class_labels": torch.tensor([0]), "boxes": torch.tensor([[0.5, 0.5, 1.0, 1.0]])}
    losses = detector.losses(predictions, [{**whole, "size": torch.tensor([8, 8])}])
    assert float(losses["class"]) == pytest.approx(0.0, abs=1e-6)
    assert float(losses["box"]) == pytest.approx(0.0, abs=1e-6)
    assert float(losses["distribution"]) == pytest.approx(math.log(2), rel=1e-5), "the entropy of a half and a half"


def test_what_is_computed_again_is_not_kept(created: Callable[..., Any]) -> None:
    """Nearly all of it: a block's input is left of its convolution, its norm and its activation."""
    images, kept = some_images(), []
    for again in (False, True):
        detector = made(created, width=16, neck=32).train()
        for module in detector.modules():
            if again and hasattr(module, "gradient_checkpointing"):
                module.gradient_checkpointing = True
                module._gradient_checkpointing_func = partial(checkpoint, use_reentrant=False)
        sizes: dict[int, int] = {}

        def count(tensor: Tensor, sizes: dict[int, int] = sizes) -> Tensor:
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            predictions = detector(**images)
        kept.append(sum(sizes.values()))
        del predictions
    assert kept[1] < 0.6 * kept[0]


@pytest.mark.parametrize("focus", [0.0, 1.0, 2.0])
def test_a_place_without_any_error_has_a_finite_gradient(created: Callable[..., Any], focus: float) -> None:
    """Its probability has rounded to 1, as the matcher asks of it; a power between 0 and 1 would have none there."""
    detector = made(created, levels=[8], reg_max=0, focus=focus, matcher={"use": "hungarian", "box_cost": 0.0})
    predictions = dict(detector(**some_images(1, 8, 8)))
    predictions["logits"] = torch.tensor([[[40.0, -200.0]]], requires_grad=True)
    whole = {"class_labels": torch.tensor([0]), "boxes": torch.tensor([[0.5, 0.5, 1.0, 1.0]])}
    losses = detector.losses(predictions, [{**whole, "size": torch.tensor([8, 8])}])
    (gradient,) = torch.autograd.grad(losses["class"], predictions["logits"])
    assert torch.isfinite(gradient).all()
    with pytest.raises(ValueError, match="focus 0.5: expected 0, or a number from 1"):
        made(created, focus=0.5)


def test_boxes_that_say_the_same_are_taken_away(created: Callable[..., Any]) -> None:
    images = some_images(1)
    with_all, thinned = made(created, nms_iou=None), made(created, nms_iou=0.3)
    with torch.no_grad():
        everything, (few,) = with_all.found(with_all(**images))[0], thinned.found(thinned(**images))
    assert len(few.scores) < len(everything.scores)
    overlaps = pairwise_iou(corners(few.boxes), corners(few.boxes)).fill_diagonal_(0)
    same = few.labels[:, None] == few.labels[None]
    assert overlaps[same].max() <= 0.3
    assert few.scores[0] == everything.scores[0]


SMALL_DETR = {
    "width": 8,
    "box_loss": "giou",
    "matcher": {"use": "hungarian", "box_loss": "giou"},
    "d_model": 32,
    "feedforward": 64,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "queries": 8,
    "dropout": 0.0,
    "stride": 16,
}
SMALL_SETS = {
    "width": 8,
    "box_loss": "giou",
    "matcher": {"use": "hungarian", "class_form": "focal", "class_cost": 2.0, "box_loss": "giou"},
    "levels": [8],
    "d_model": 32,
    "heads": 2,
    "feedforward": 64,
    "expansion": 0.5,
    "decoder_layers": 2,
    "queries": 30,  # with 8, places of the same box are all that is chosen for long
    "denoising": 20,
}
CASES: dict[str, tuple[str, dict[str, Any], float, int]] = {
    "numbers": ("anchor-free", {**SMALL, "reg_max": 0, "levels": [4, 8], "side_floor": 1.0}, 3e-3, 150),
    "distributions": ("anchor-free", {**SMALL, "box_loss": "ciou", "reg_max": 16, "levels": [4, 8]}, 5e-3, 250),
    "queries": ("detr", SMALL_DETR, 2e-3, 120),
    "chosen places": ("rt-detr", SMALL_SETS, 4e-3, 220),
    "moved sides": ("d-fine", {**SMALL_SETS, "reg_max": 16}, 4e-3, 200),
}
SOAKED = {"numbers", "distributions", "moved sides"}
"""Cases that learn as others do: make soak."""


def drawn_images() -> tuple[dict[str, Tensor], Labels]:
    """Noise with the rectangles that are to be found, light or dark by their class."""
    images, labels = some_images(), [dict(item) for item in labels_of(3, 1)]
    images["pixel_values"] *= 0.1
    for pixels, item in zip(images["pixel_values"], labels, strict=True):
        item["size"] = torch.tensor([64, 96])
        edges = corners(item["boxes"]) * torch.tensor([96, 64, 96, 64])
        for (x1, y1, x2, y2), label in zip(edges.round().int().tolist(), item["class_labels"].tolist(), strict=True):
            pixels[:, y1:y2, x1:x2] = 1.0 - 2.0 * label
    return images, labels


@pytest.mark.slow
@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=pytest.mark.soak if case in SOAKED else ()) for case in CASES]
)
def test_two_images_are_learned_by_heart(created: Callable[..., Any], case: str) -> None:
    name, options, rate, steps = CASES[case]
    torch.manual_seed(1)
    detector = created("detector", name, 2, **options)
    images, labels = drawn_images()
    told = {"labels": labels} if detector.needs_labels else {}
    optimizer = torch.optim.Adam(detector.parameters(), lr=rate)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 20) * (1 - step / steps)
        optimizer.zero_grad()
        losses = detector.losses(detector(**images, **told), labels)
        sum(losses[key] * weight for key, weight in detector.weights.items()).backward()
        optimizer.step()
    with torch.no_grad():
        found = detector.eval().found(detector(**images))
    assert surest_overlap(found, labels) > 0.9
    for item, one in zip(found, labels, strict=True):
        surest = item.labels[: len(one["class_labels"])]
        assert sorted(surest.tolist()) == sorted(one["class_labels"].tolist())
