"""Training models that find boxes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoImageProcessor, AutoModelForObjectDetection

from zoo.errors import InputError
from zoo.measure.evaluate import evaluate
from zoo.models import ZooDetectionProcessor, ZooForObjectDetection
from zoo.registry import use_registry
from zoo.spec import Spec
from zoo.spec.lock import read_lock
from zoo.tasks import DataHome, Example, GroundTruth, PixelImage
from zoo.testing.shapes import DARK, LIGHT, with_shapes
from zoo.training import build, load_run, prepare, train
from zoo.training.building import assemble_for
from zoo.training.categories import categories_of
from zoo.training.data.batching import MicroBatch
from zoo.training.data.detections import DetectionCollator, encoded_detections
from zoo.training.data.layouts import layout_of

MakeSpec = Callable[..., Spec]
EXAMPLE = Example(
    id="one",
    source="an image",
    target="",
    image=PixelImage(np.full((20, 40, 3), 255, np.uint8)),
    boxes=(
        GroundTruth((10.0, 5.0, 30.0, 10.0), LIGHT),
        GroundTruth((0.0, 0.0, 40.0, 20.0), DARK, crowd=True),
        GroundTruth((0.0, 0.0, 4.0, 20.0), DARK),
    ),
)


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    with use_registry(with_shapes()):
        yield


def test_a_batch_has_boxes_as_shares_of_each_image_and_the_padding_told() -> None:
    processor = ZooDetectionProcessor({"max_width": 20, "max_height": 20, "multiple": 8})
    other = replace(EXAMPLE, id="two", image=PixelImage(np.zeros((20, 20, 3), np.uint8)), boxes=())
    examples = encoded_detections([EXAMPLE, other], [DARK, LIGHT], processor.grid)
    batch = DetectionCollator(examples, processor)(MicroBatch(np.array([0, 1])))
    assert batch.pixel_values.shape == (2, 3, 24, 24)  # 20 x 20 and, at half its size, 10 x 20, in multiples of 8
    assert [int(mask.sum()) for mask in batch.pixel_mask] == [10 * 20, 20 * 20]
    assert batch.pixel_values[0, :, :10, :20].eq(1.0).all(), "white is 1 after (1 - .5) / .5"
    assert batch.pixel_values[0].masked_select(~batch.pixel_mask[0]).eq(0.0).all()
    first, second = batch.answers()
    assert first["class_labels"].tolist() == [1, 0], "the crowd is left out"
    assert first["boxes"].tolist() == [[0.5, 0.375, 0.5, 0.25], pytest.approx([0.05, 0.5, 0.1, 1.0])]
    assert first["size"].tolist() == [10, 20]
    assert second["boxes"].shape == (0, 4)
    assert batch.target_tokens == 2, "a micro-batch weighs as much as it has images"


def test_a_processor_refuses_what_it_does_not_know_and_what_is_no_image() -> None:
    processor = ZooDetectionProcessor({"max_width": 20})
    with pytest.raises(InputError, match=r"no keyword 'return_tensor': did you mean 'return_tensors'\?"):
        processor(np.zeros((8, 8, 3), np.uint8), return_tensor="pt")
    with pytest.raises(InputError, match="no keyword 'do_resize'"):
        processor(np.zeros((8, 8, 3), np.uint8), do_resize=False)
    with pytest.raises(InputError, match="there is no image to read"):
        processor([], return_tensors="pt")


def test_a_box_of_an_unknown_category_is_refused() -> None:
    with pytest.raises(InputError, match=f"example 'one' has a box of the category {LIGHT}, not of {DARK}"):
        encoded_detections([EXAMPLE], [DARK], lambda height, width: (1, 1))


def test_categories_are_those_of_the_facts_or_else_of_the_boxes(shapes_spec: MakeSpec, home: DataHome) -> None:
    task = prepare(shapes_spec(), home).task
    assert categories_of(task) == {DARK: "dark", LIGHT: "light"}
    task.facts = {}
    assert categories_of(task) == {DARK: str(DARK), LIGHT: str(LIGHT)}


def test_a_built_folder_is_whole_without_a_tokenizer_and_is_built_again_from_its_lock(
    shapes_spec: MakeSpec, home: DataHome, tmp_path: Path
) -> None:
    first = build(shapes_spec(), tmp_path / "one", home)
    assert not [file.name for file in (tmp_path / "one").iterdir() if "token" in file.name]
    lock = read_lock(tmp_path / "one" / "zoo.lock.yaml")
    assert set(first.content()) == {"data", "weights"}
    again = build(lock.spec, tmp_path / "two", home)
    assert again.content() == first.content() == lock.file.content.model_dump(exclude_none=True)
    image = first.prepared.task.examples("test")[0].image
    assert image is not None
    processor = AutoImageProcessor.from_pretrained(tmp_path / "one")
    assert isinstance(processor, ZooDetectionProcessor)
    model = AutoModelForObjectDetection.from_pretrained(tmp_path / "one")
    assert isinstance(model, ZooForObjectDetection)
    assert model.config.id2label == {0: "dark", 1: "light"}
    inputs = processor(image.load(), return_tensors="pt")
    with torch.no_grad():
        one, two = model.eval().detect(**inputs), load_run(tmp_path / "two").model.eval().detect(**inputs)
    assert torch.equal(one[0].boxes, two[0].boxes)


def test_a_run_that_was_interrupted_ends_with_the_same_weights(
    shapes_spec: MakeSpec, home: DataHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = shapes_spec(**{"training.save_every": 3})
    train(spec, tmp_path / "whole", home=home)
    made, whole = [0], DetectionCollator.__call__

    def until_the_sixth(self: DetectionCollator, examples: Any) -> Any:
        made[0] += 1
        if made[0] > 5:
            raise KeyboardInterrupt
        return whole(self, examples)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(DetectionCollator, "__call__", until_the_sixth)
        train(spec, tmp_path / "parts", home=home)
    outcome = train(spec, tmp_path / "parts", resume=True, home=home)
    assert outcome.steps == spec.training.steps
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "parts"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_each_loss_is_logged_and_their_weighted_sum_is_the_loss(
    shapes_spec: MakeSpec, home: DataHome, tmp_path: Path
) -> None:
    """Of two micro-batches a step, too: each weighs as much as it has images."""
    changes = {"training.steps": 4, "training.log_every": 1, "training.gradient_accumulation": 2}
    changes |= {"training.evaluate_every": 4, "model.detector.box_weight": 3.0}
    outcome = train(shapes_spec(**changes), tmp_path / "run", home=home)
    assert outcome.status == "ok", outcome.error
    assert len(outcome.curve) == 4
    for point in outcome.curve:
        assert point.loss == pytest.approx(point.losses["class"] + 3.0 * point.losses["box"], rel=1e-5)
    assert outcome.curve[-1].dev_loss is not None
    assert not outcome.curve[-1].gradients


def test_more_boxes_than_a_detector_finds_in_an_image_are_refused_but_for_a_few(
    shapes_spec: MakeSpec, home: DataHome
) -> None:
    model = assemble_for(spec := shapes_spec(), prepare(spec, home))
    layout = layout_of(model)

    def boxes_in(*counts: int) -> Any:
        some = [
            replace(EXAMPLE, id=str(number), boxes=EXAMPLE.boxes[:1] * count) for number, count in enumerate(counts)
        ]
        return encoded_detections(some, [DARK, LIGHT], lambda height, width: (1, 1))

    layout.refuse_past_the_table(model, boxes_in(300, 0))
    model.detector.most = 5
    layout.refuse_past_the_table(model, boxes_in(5, 5, 0))
    layout.refuse_past_the_table(model, boxes_in(6, *[5] * 19))  # 1 of 101
    with pytest.raises(InputError, match=r"^3 of 12 training boxes could not .* 1 of 3 images have more, up to 8"):
        layout.refuse_past_the_table(model, boxes_in(8, 4, 0))


def test_lack_of_memory_for_one_image_blames_its_size(
    shapes_spec: MakeSpec, home: DataHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def greedy(*given: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("zoo.training.losses.loss.own_loss_sum", greedy)
    outcome = train(shapes_spec(**{"training.batch_tokens": 1}), tmp_path / "run", home=home)
    assert outcome.status == "oom"
    assert outcome.error is not None
    assert "have model.pixels make smaller images: the row is one alone" in outcome.error


@pytest.mark.slow
def test_a_detector_learns_to_find_rectangles(shapes_spec: MakeSpec, home: DataHome, tmp_path: Path) -> None:
    """In images that it has not seen: most are found and told apart."""
    spec = shapes_spec(**{"task.train": 200, "training.steps": 250, "training.batch_tokens": 160})
    assert train(spec, tmp_path / "run", home=home).status == "ok"
    run = load_run(tmp_path / "run")
    examples = prepare(spec, home).task.examples("test")
    found = {score.metric: score.value for score in evaluate(run.model, run.tokenizers, examples, spec).quality}
    assert found["map50"] > 0.7
    assert found["recall-by-size"] > 0.8
