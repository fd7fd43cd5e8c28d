"""DETR's losses and matching against those of transformers."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers.loss.loss_for_object_detection import ForObjectDetectionLoss, HungarianMatcher

from zoo.errors import InputError
from zoo.models.detection import Candidates

CLASSES, QUERIES, LAYERS = 3, 9, 2
COSTS = {"class_cost": 1.3, "l1_cost": 4.0, "box_cost": 2.5}
WEIGHTS = {"class_weight": 1.0, "l1_weight": 5.5, "box_weight": 1.5, "no_object": 0.2}
Labels = list[dict[str, Tensor]]


def random_outputs(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits ``[L, B, Q, C + 1]`` and boxes ``[L, B, Q, 4]``, both wanting gradients."""
    draw = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(LAYERS, 2, QUERIES, CLASSES + 1, generator=draw)
    boxes = torch.randn(LAYERS, 2, QUERIES, 4, generator=draw).sigmoid()
    return logits.requires_grad_(), boxes.requires_grad_()


def detector(created: Callable[..., Any], **options: Any) -> Any:
    matcher = {"use": "hungarian", "box_loss": "giou", **COSTS}
    small = {"width": 4, "d_model": 16, "heads": 2, "feedforward": 8, "queries": QUERIES}
    return created("detector", "detr", CLASSES, matcher=matcher, box_loss="giou", **small, **WEIGHTS, **options)


def test_with_giou_the_loss_and_its_gradients_are_transformers_own(created: Callable[..., Any], labels: Labels) -> None:
    logits, boxes = random_outputs()
    config = SimpleNamespace(
        num_labels=CLASSES,
        class_cost=COSTS["class_cost"],
        bbox_cost=COSTS["l1_cost"],
        giou_cost=COSTS["box_cost"],
        eos_coefficient=WEIGHTS["no_object"],
        bbox_loss_coefficient=WEIGHTS["l1_weight"],
        giou_loss_coefficient=WEIGHTS["box_weight"],
        auxiliary_loss=True,
        decoder_layers=LAYERS,
    )
    expected, parts, _ = ForObjectDetectionLoss(logits[-1], labels, logits.device, boxes[-1], config, logits, boxes)
    model = detector(created)
    found = model.losses({"logits": logits, "boxes": boxes}, labels)
    for ours, theirs in (("class", "loss_ce"), ("l1", "loss_bbox"), ("box", "loss_giou")):
        assert float(found[ours].detach()) == pytest.approx(
            float((parts[theirs] + parts[f"{theirs}_0"]).detach()), 1e-5
        )
    loss = sum(found[name] * weight for name, weight in model.weights.items())
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    gradients = torch.autograd.grad(loss, (logits, boxes))
    for ours, theirs in zip(gradients, torch.autograd.grad(expected, (logits, boxes)), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_with_giou_the_pairs_are_transformers_own(created: Callable[..., Any], labels: Labels) -> None:
    matcher = created("matcher", "hungarian", box_loss="giou", **COSTS)
    theirs = HungarianMatcher(class_cost=COSTS["class_cost"], bbox_cost=COSTS["l1_cost"], giou_cost=COSTS["box_cost"])
    for seed in range(5):
        logits, boxes = (item.detach()[0] for item in random_outputs(seed))
        expected = theirs({"logits": logits, "pred_boxes": boxes}, labels)
        for image, (rows, columns) in enumerate(expected):
            found = matcher(Candidates(logits[image].softmax(-1)[:, :-1], boxes[image]), labels[image])
            assert found.candidates.tolist() == rows.tolist()
            assert found.targets.tolist() == columns.tolist()


def test_loss_and_matcher_have_a_box_loss_each(created: Callable[..., Any], labels: Labels) -> None:
    """Another one in the loss leaves the pairs; another one in the matcher changes them, and with them all losses."""
    logits, boxes = (item.detach() for item in random_outputs())

    def losses(loss: str, cost: str) -> dict[str, float]:
        matcher = {"use": "hungarian", "box_loss": cost, "class_cost": 0.0, "l1_cost": 0.0}
        small = {"width": 4, "d_model": 16, "heads": 2, "feedforward": 8, "queries": QUERIES}
        model = created("detector", "detr", CLASSES, matcher=matcher, box_loss=loss, **small)
        return {name: float(value) for name, value in model.losses({"logits": logits, "boxes": boxes}, labels).items()}

    giou, ciou, swapped = losses("giou", "giou"), losses("ciou", "giou"), losses("giou", "l2")
    assert (ciou["class"], ciou["l1"]) == (giou["class"], giou["l1"])
    assert ciou["box"] != giou["box"]
    assert swapped["l1"] != giou["l1"]


def test_it_says_that_it_finds_no_more_boxes_than_it_has_queries(created: Callable[..., Any]) -> None:
    assert detector(created).most == QUERIES


def test_without_auxiliary_losses_the_last_layer_alone_has_them(created: Callable[..., Any]) -> None:
    pixels, mask = torch.zeros(1, 3, 64, 64), torch.ones(1, 64, 64, dtype=torch.bool)
    shapes = [detector(created, auxiliary=flag).eval()(pixels, mask)["logits"].shape[0] for flag in (True, False)]
    assert shapes == [3, 1]


def test_a_matcher_that_gives_a_box_several_queries_is_refused(created: Callable[..., Any]) -> None:
    with pytest.raises(InputError, match="'task-aligned' is not of one to one: take hungarian"):
        created("detector", "detr", CLASSES, matcher="task-aligned", box_loss="giou")
