"""Evaluating and measuring models that find boxes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from zoo.bench.smoke import smoke
from zoo.errors import InputError
from zoo.measure.batch_probe import probe as batch_probe
from zoo.measure.detecting import detect_batch
from zoo.measure.evaluate import evaluate, score_outputs
from zoo.measure.latency_probe import probe as latency_probe
from zoo.measure.performance import probe_request
from zoo.measure.probe import ProbeRequest
from zoo.measure.reading import source_of
from zoo.models import ZooDetectionProcessor
from zoo.models.detection.contracts import Found
from zoo.models.tokenizers import NO_TOKENIZERS
from zoo.registry import use_registry
from zoo.spec import Spec
from zoo.spec.detection_spec import DetectionSection
from zoo.tasks import DataHome, Detection, PixelImage
from zoo.testing.shapes import with_shapes
from zoo.training import build, prepare
from zoo.training.building import assemble_for

MakeSpec = Callable[..., Spec]


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    with use_registry(with_shapes()):
        yield


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> DataHome:
    return DataHome(tmp_path_factory.mktemp("home"))


def knowing(found: Found, **pixels: Any) -> Any:
    """A model that finds the same in every image."""
    processor = ZooDetectionProcessor(pixels)
    return SimpleNamespace(
        image_processor=processor,
        device=torch.device("cpu"),
        categories=[4, 9],
        detect=lambda pixel_values, pixel_mask: [found for _ in pixel_values],
    )


def test_boxes_are_given_in_the_pixels_of_the_image_that_was_read() -> None:
    """Whatever size the detector sees it in, and whatever is padded."""
    found = Found(
        scores=torch.tensor([0.9, 0.5, 0.2]),
        labels=torch.tensor([1, 0, 0]),
        boxes=torch.tensor([[0.5, 0.5, 1.0, 1.0], [0.25, 0.5, 0.5, 0.2], [0.5, 0.5, 0.1, 0.1]]),
    )
    model = knowing(found, max_height=30, max_width=30)
    images = [PixelImage(np.zeros((100, 60, 3), np.uint8)), PixelImage(np.zeros((10, 20, 3), np.uint8))]
    first, second = detect_batch(model, images, DetectionSection(min_score=0.3))
    assert [(item.category, item.score) for item in first] == [(9, pytest.approx(0.9)), (4, pytest.approx(0.5))]
    assert first[0].box == (0.0, 0.0, 60.0, 100.0)
    assert first[1].box == pytest.approx((0.0, 40.0, 30.0, 60.0))
    assert second[0].box == (0.0, 0.0, 20.0, 10.0)
    assert [len(item) for item in detect_batch(model, images, DetectionSection(max_detections=1))] == [1, 1]


def test_what_is_there_scores_full_marks_and_is_told_as_json(shapes_spec: MakeSpec, home: DataHome) -> None:
    spec = shapes_spec()
    examples = prepare(spec, home).task.examples("test")
    right = [tuple(Detection(box.box, 0.75, box.category) for box in example.boxes) for example in examples]
    found = score_outputs(right, examples, spec)
    assert {score.metric: score.value for score in found.quality} == {"map50": 1.0, "recall-by-size": 1.0}
    assert found.collapsed is None
    sample = next(item for item in found.samples if item.output != "[]")
    told, wanted = json.loads(sample.output), json.loads(sample.reference)
    assert [{**item, "score": 0.75} for item in wanted] == told
    assert set(told[0]) == {"box", "category", "score"}


def test_a_detector_that_finds_nothing_anywhere_has_collapsed(shapes_spec: MakeSpec, home: DataHome) -> None:
    spec = shapes_spec()
    examples = prepare(spec, home).task.examples("test")
    found = score_outputs([()] * len(examples), examples, spec)
    assert found.collapsed == f"no box is found in any of {len(examples)} images"
    assert found.probes == {"detections_per_image": 0.0, "images_without_detections": 1.0}


def test_an_image_is_looked_at_alike_alone_and_among_others(shapes_spec: MakeSpec, home: DataHome) -> None:
    one, many = (shapes_spec(**{"detection.batch_size": size}) for size in (1, 4))
    prepared = prepare(one, home)
    model, examples = assemble_for(one, prepared), prepared.task.examples("test")
    alone, together = (evaluate(model, NO_TOKENIZERS, examples, spec) for spec in (one, many))
    for first, second in zip(alone.outputs, together.outputs, strict=True):
        boxes = [np.array([item["box"] for item in json.loads(text)]) for text in (first, second)]
        assert len(boxes[0]), "nothing is compared"
        assert boxes[0] == pytest.approx(boxes[1], abs=0.11)  # told to a tenth


def test_examples_that_hold_texts_are_refused(shapes_spec: MakeSpec, home: DataHome) -> None:
    spec = shapes_spec()
    prepared = prepare(spec, home)
    texts = [replace(example, image=None) for example in prepared.task.examples("test")]
    with pytest.raises(InputError, match="examples are of the kind 'text', but the model"):
        evaluate(assemble_for(spec, prepared), NO_TOKENIZERS, texts, spec)


def test_the_smoke_test_of_a_spec_takes_detectors(shapes_spec: MakeSpec) -> None:
    smoke(shapes_spec())


def test_the_instruments_time_images_and_count_no_tokens(shapes_spec: MakeSpec, home: DataHome, tmp_path: Path) -> None:
    spec = shapes_spec()
    built = build(spec, tmp_path / "run", home)
    sources = [source_of(example) for example in built.prepared.task.examples("test")]
    asked = probe_request(tmp_path / "run", sources, spec, device=torch.device("cpu"))
    request = ProbeRequest.model_validate_json(asked.model_dump_json())
    assert isinstance(request.decoding, DetectionSection)
    (clocks,) = latency_probe(request)
    assert len(clocks["latency"]) == 2
    assert min(clocks["latency"]) > 0
    assert clocks["encode"] is clocks["decode_per_token"] is clocks["device_time"] is None
    memory, rate = batch_probe(request)
    assert memory["memory"]["peak"] > 0
    assert rate["rate"]["sentences_per_second"] > 0
    assert rate["rate"]["tokens_per_second"] is None
