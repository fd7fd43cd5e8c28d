"""Recall by aspect and height, against faster-coco-eval and by hand."""

from __future__ import annotations

import contextlib
import io
import random

import numpy as np
import pytest
from pydantic import ValidationError
from zoo_tasks_vision.metrics.options import RecallBySizeOptions
from zoo_tasks_vision.metrics.recall_by_size import RecallBySize

from zoo.tasks import Detection, GroundTruth


def metric(**options):
    return RecallBySize(RecallBySizeOptions(**{"resamples": 100, **options}))


def line(x, y, width, height, category=0):
    return (x, y, x + width, y + height), category


def test_boxes_are_counted_in_the_stratum_of_the_one_that_is_there():
    there = [[GroundTruth(*line(0, 0, 100, 10)), GroundTruth(*line(0, 50, 100, 10)), GroundTruth(*line(0, 90, 20, 20))]]
    # The first is found; of the second a third: an overlap of 1/3; the third is found by a box of another shape.
    found = [
        [
            Detection((0, 0, 100, 10), 0.9, 0),
            Detection((0, 55, 100, 65), 0.8, 0),
            Detection((0, 90, 20, 102), 0.7, 0),
        ]
    ]
    score = metric().score(found, there, ["page"])
    assert score.value == pytest.approx(2 / 3)
    assert score.details == {
        "by_size": {
            "aspect <2, height 16-32": {"recall": 1.0, "boxes": 1},
            "aspect 5-15, height 8-16": {"recall": 0.5, "boxes": 2},
        },
        "worst": "aspect 5-15, height 8-16",
    }


def test_crowds_and_detections_beyond_the_limit_count_nowhere():
    there = [[GroundTruth((0, 0, 50, 10), 0), GroundTruth((0, 100, 80, 120), 0, crowd=True)]]
    found = [[Detection((0, 100, 80, 120), 0.9, 0), Detection((0, 0, 50, 10), 0.5, 0)]]
    assert metric().score(found, there, ["page"]).value == 1.0
    assert metric(max_dets=1).score(found, there, ["page"]).value == 0.0
    assert sum(s["boxes"] for s in metric().score(found, there, ["page"]).details["by_size"].values()) == 1


def test_categories_can_be_taken_for_one():
    there, found = [[GroundTruth((0, 0, 50, 10), 1)]], [[Detection((0, 0, 50, 10), 0.9, 2)]]
    assert metric().score(found, there, ["page"]).value == 0.0
    assert metric(class_agnostic=True).score(found, there, ["page"]).value == 1.0


def test_the_value_is_the_recall_of_faster_coco_eval():
    """Its AR at IoU .5, which is a mean over categories: with one category the recall."""
    from faster_coco_eval import COCO, COCOeval_faster

    draw = random.Random(4)
    references, outputs = [], []
    for _ in range(6):
        truths = [
            GroundTruth(line(draw.uniform(0, 300), draw.uniform(0, 300), draw.uniform(20, 200), 12)[0], 1)
            for _ in range(8)
        ]
        found = [
            Detection((*truth.box[:2], *(edge + draw.uniform(-8, 30) for edge in truth.box[2:])), draw.random(), 1)
            for truth in truths
        ]
        references.append(truths)
        outputs.append(found)

    def annotations(rows):
        return [
            {
                "id": number + 1,
                "image_id": image,
                "category_id": 1,
                "bbox": [box.box[0], box.box[1], box.box[2] - box.box[0], box.box[3] - box.box[1]],
                "area": (box.box[2] - box.box[0]) * (box.box[3] - box.box[1]),
                "iscrowd": 0,
                **({"score": box.score} if isinstance(box, Detection) else {}),
            }
            for number, (image, box) in enumerate((image, box) for image, boxes in enumerate(rows) for box in boxes)
        ]

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "images": [{"id": image} for image in range(6)],
            "categories": [{"id": 1}],
            "annotations": annotations(references),
        }
        truth.createIndex()
        evaluation = COCOeval_faster(truth, truth.loadRes(annotations(outputs)), "bbox", print_function=lambda *_: None)
        evaluation.params.maxDets = [1, 10, 500]
        evaluation.params.iouThrs = np.array([0.5])
        evaluation.evaluate()
        evaluation.accumulate()
    expected = float(evaluation.eval["recall"][0, 0, 0, -1])
    assert 0 < expected < 1
    assert metric().score(outputs, references, list(range(6))).value == pytest.approx(expected)


def test_edges_that_do_not_rise_are_refused():
    with pytest.raises(ValidationError, match=r"'heights': \[16.0, 8.0\]: expected each once, the smallest first"):
        metric(heights=[16.0, 8.0])
