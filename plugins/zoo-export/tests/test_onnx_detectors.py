"""Detectors as graphs of all their boxes, against torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from zoo_export import box_parity
from zoo_export.box_parity import compared_boxes
from zoo_export.onnx_exporter import OnnxExporter
from zoo_export.options import OnnxOptions

from zoo.errors import InputError, ZooError
from zoo.models import assemble
from zoo.models.detection import Scored
from zoo.spec import resolve_model
from zoo.testing.surroundings import one_thread

MATCHER = {"use": "hungarian", "class_form": "focal", "class_cost": 2.0, "box_loss": "giou"}
SMALL = {"matcher": MATCHER, "box_loss": "ciou", "width": 8, "d_model": 16, "heads": 2, "feedforward": 32}
QUERIES = {**SMALL, "decoder_layers": 2, "expansion": 0.5, "queries": 20, "denoising": 8}
DETECTORS: dict[str, dict[str, Any]] = {
    "anchor-free": {"matcher": "task-aligned", "box_loss": "ciou", "width": 8, "neck": 16, "head_blocks": 1},
    "anchor-free of one level and numbers without bound": {
        **{"use": "anchor-free", "matcher": "task-aligned", "box_loss": "ciou", "width": 4, "neck": 8, "depth": 0},
        **{"head_blocks": 0, "levels": [16], "reg_max": 0},
    },
    "detr": {**SMALL, "encoder_layers": 1, "decoder_layers": 2, "queries": 8, "stride": 16},
    "rt-detr": QUERIES,
    "d-fine": QUERIES,
    "rt-detr of one level": {**QUERIES, "use": "rt-detr", "levels": [16], "queries": 300},
}
CLASSES = {"categories": [3, 8, 11], "id2label": {0: "line", 1: "figure", 2: "table"}}


def model_of(detector: Mapping[str, Any], **pixels: Any) -> Any:
    """With weights that are no longer those of the beginning: boxes differ."""
    plain = {"architecture": "detector", "detector": dict(detector), "pixels": pixels}
    model = assemble(resolve_model(plain), 3, seed=1, token_ids=CLASSES).eval()
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=draw))
    return model


def batches(multiple: int) -> list[dict[str, Tensor]]:
    """Images of other sizes than those that are traced, padded and not, down to one place of the coarsest map and to
    one pixel."""
    draw = torch.Generator().manual_seed(7)
    found = []
    for sizes in ([(150, 190), (160, 100), (31, 192)], [(20, 17)], [(64, 300), (10, 200)], [(1, 3)], [(310, 33)]):
        height, width = (-(-max(size[axis] for size in sizes) // multiple) * multiple for axis in (0, 1))
        pixels, mask = torch.zeros(len(sizes), 3, height, width), torch.zeros(len(sizes), height, width)
        for number, (rows, columns) in enumerate(sizes):
            pixels[number, :, :rows, :columns] = torch.randn(3, rows, columns, generator=draw)
            mask[number, :rows, :columns] = 1
        found.append({"pixel_values": pixels, "pixel_mask": mask.bool()})
    return found


@pytest.mark.soak  # a detector goes out in the slow part, too: tests/export/runtime/test_detector.py
@pytest.mark.parametrize("opset", [18, 20, 22])
@pytest.mark.parametrize("name", DETECTORS)
def test_scores_and_boxes_are_torchs_with_every_detector_at_every_size(tmp_path: Path, name: str, opset: int) -> None:
    if opset != 18 and name != "rt-detr":
        pytest.skip("what other versions say otherwise is sampling at places: RT-DETR has it")
    model = model_of({"use": name, **DETECTORS[name]}, multiple=8)
    exporter = OnnxExporter(OnnxOptions(opset=opset))
    exporter.refuse(model)
    with one_thread():
        exporter.write(model, tmp_path)
        found = exporter.parity(model, tmp_path, batches(8), max_new_tokens=0)
    assert found.examples == found.same_outputs == 8
    assert found.largest_difference < 2e-5
    assert found.mean_difference is not None


@pytest.fixture
def plain() -> Any:
    return model_of(DETECTORS["anchor-free of one level and numbers without bound"])


def test_a_detector_that_does_not_say_how_it_chooses_is_refused_by_name(plain: Any) -> None:
    plain.detector.choice = None
    with pytest.raises(
        InputError, match=r"model\.detector: 'zoo-detection/anchor-free' does not say how what it finds"
    ):
        OnnxExporter(OnnxOptions()).refuse(plain)


@pytest.mark.soak  # torch's exporter tries it in two ways
def test_a_detector_that_no_graph_can_say_is_told_by_name(tmp_path: Path, plain: Any) -> None:
    def looks(predictions: Mapping[str, Tensor]) -> Scored:
        """Has a way of its own for images in which little is sure."""
        scores = predictions["logits"].sigmoid()
        if scores.mean() < 0.5:
            scores = scores / 2
        return Scored(scores, predictions["boxes"], predictions["real"])

    plain.detector.scored = looks
    with pytest.raises(ZooError, match="a model with 'zoo-detection/anchor-free' cannot be exported to ONNX: "):
        OnnxExporter(OnnxOptions()).write(plain, tmp_path)
    assert not list(tmp_path.iterdir())


class Given:
    """What a graph would give."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, model: Any, images: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            scored = model.detector.scored(model.detector(**images))
        self.found = {name: item.numpy().copy() for name, item in zip(("scores", "boxes", "real"), scored, strict=True)}
        monkeypatch.setattr(box_parity, "open_graph", lambda *arguments: None)
        monkeypatch.setattr(box_parity, "run", lambda session, feeds: self.found)


@pytest.fixture(scope="module")
def detr() -> Any:
    return model_of({"use": "detr", **DETECTORS["detr"]}, multiple=16)


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch, detr: Any) -> Given:
    return Given(monkeypatch, detr, batches(16)[0])


def test_boxes_in_another_order_are_the_same(detr: Any, given: Given) -> None:
    order = np.random.default_rng(0).permutation(8)
    given.found = {name: item[:, order] for name, item in given.found.items()}
    found = compared_boxes(detr, Path(), batches(16)[:1])
    assert (found.examples, found.same_outputs, found.largest_difference) == (3, 3, 0.0)


def test_one_box_or_score_that_is_another_is_told_with_how_far_it_is(detr: Any, given: Given) -> None:
    likeliest = given.found["scores"][1, 2].argmax()
    given.found["scores"][1, 2, likeliest] += 0.03
    found = compared_boxes(detr, Path(), batches(16)[:1])
    assert (found.examples, found.same_outputs) == (3, 2)
    assert found.largest_difference == pytest.approx(0.03, abs=1e-5)
    given.found["scores"][1, 2, likeliest] -= 0.03
    given.found["boxes"][0, 3, 0] += 0.002
    found = compared_boxes(detr, Path(), batches(16)[:1])
    assert (found.examples, found.same_outputs) == (3, 2)
    assert found.largest_difference == pytest.approx(0.002, abs=1e-5)
    given.found["boxes"][0, 3] = np.nan
    assert np.isnan(compared_boxes(detr, Path(), batches(16)[:1]).largest_difference)


def test_boxes_that_are_missing_are_told(detr: Any, given: Given) -> None:
    given.found["real"][2, 0] = False
    found = compared_boxes(detr, Path(), batches(16)[:1])
    assert (found.examples, found.same_outputs) == (3, 2)
    assert np.isnan(found.largest_difference)


def test_an_image_that_rounding_decides_is_left_out(detr: Any, given: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a pixel is as good as equal to a bound, torch says now one thing and now another."""
    read, scored = detr.detector.forward, detr.detector.scored
    bounds = batches(16)[0]["pixel_values"][:, 0, 5, 5]

    def forward(pixel_values: Tensor, pixel_mask: Tensor) -> Any:
        return {**read(pixel_values, pixel_mask), "above": pixel_values[:, 0, 5, 5] > bounds[: len(pixel_values)]}

    def jumps(predictions: Any) -> Scored:
        scores, boxes, real = scored(predictions)
        return Scored(scores + 0.1 * predictions["above"][:, None, None], boxes, real)

    given.found["scores"][0] += 0.1
    found = compared_boxes(detr, Path(), batches(16)[:1])
    assert (found.examples, found.same_outputs) == (3, 2)
    assert found.largest_difference == pytest.approx(0.1, abs=0.01)  # rows are held against the likest of torch's
    monkeypatch.setattr(detr.detector, "forward", forward)
    monkeypatch.setattr(detr.detector, "scored", jumps)
    found = compared_boxes(detr, Path(), batches(16)[:1])
    assert (found.examples, found.same_outputs) == (2, 2)
    assert found.largest_difference < 1e-6
