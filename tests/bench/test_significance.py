"""Which test two sets of scored records get, for metrics that are one matrix product and for one that is not."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from zoo.bench.outputs import MetricOutputs, Outputs
from zoo.bench.record import Quality
from zoo.bench.rescoring import metric_of, rescored
from zoo.bench.significance import Scored, examine
from zoo.bench.standings import MetricKey
from zoo.tasks import Detection, GroundTruth

MAP = {"use": "zoo-tasks-vision/map", "resamples": 100}


class Kept:
    """Outputs by record, as a reader of files gives them."""

    def __init__(self):
        self.outputs = {}

    def read(self, scored):
        return self.outputs[scored.record.id]


def images(count, missed, seed):
    """One box to find on each image, found exactly or not at all; and a false alarm here and there."""
    draw = random.Random(seed)
    box = (10.0, 10.0, 50.0, 50.0)
    references = [[GroundTruth(box, 0)] for _ in range(count)]
    outputs = []
    for _ in range(count):
        found = [] if draw.random() < missed else [Detection(box, draw.random(), 0)]
        if draw.random() < 0.2:
            found.append(Detection((100.0, 100.0, 120.0, 120.0), draw.random(), 0))
        outputs.append(found)
    return outputs, references


@pytest.fixture
def detector(make_record):
    """``detector(kept, missed=0.2, seed=1)``: the score of a model that misses so many boxes, its outputs in `kept`."""

    def make(kept, *, missed, seed):
        outputs, references = images(40, missed, seed)
        bare = MetricOutputs("map", "s", "higher", "fraction", MAP, (), np.zeros(0))
        metric = metric_of(bare)
        items = tuple(metric.items(outputs, references, references))
        found = MetricOutputs("map", "s", "higher", "fraction", MAP, items, np.zeros(40))
        record = make_record(seed=seed)
        ids = tuple(f"image-{number}" for number in range(40))
        kept.outputs[record.id] = Outputs("test", "sha256:1", ids, None, None, None, (found,))
        score = Quality(
            metric="map",
            value=rescored(metric, found),
            direction="higher",
            unit="fraction",
            signature="s",
            split="test",
            examples=40,
        )
        return Scored(record, Path("nowhere"), score)

    return make


KEY = MetricKey("map", "test", "fraction", "higher", "s", 40)


def test_detectors_are_told_apart_on_images_by_a_metric_that_is_no_sum(detector):
    kept = Kept()
    poor, good = detector(kept, missed=0.6, seed=1), detector(kept, missed=0.1, seed=2)
    found = examine(KEY, [poor], [good], kept)
    assert found.evidence == "test examples"
    assert "1000 trials" in found.method
    # No image that a trial swaps is likely to undo twenty boxes: the smallest p-value that 1000 trials give, or near.
    assert found.p_value <= 5 / 1001
    assert found.interval[0] > 0
    same = examine(KEY, [poor], [detector(kept, missed=0.6, seed=3)], kept)
    assert same.p_value > 0.05


def test_detectors_of_several_seeds_are_told_apart_over_seeds_and_images(detector):
    kept = Kept()
    poor = [detector(kept, missed=0.6, seed=seed) for seed in (1, 2, 3)]
    good = [detector(kept, missed=0.1, seed=seed) for seed in (1, 2, 3)]
    found = examine(KEY, poor, good, kept)
    assert found.evidence == "training seeds and test examples"
    assert found.p_value < 0.05
    assert found.interval[0] > 0


def test_an_example_that_one_side_lacks_leaves_the_seeds_alone(detector):
    kept = Kept()
    sides = [[detector(kept, missed=missed, seed=seed) for seed in (1, 2)] for missed in (0.6, 0.1)]
    last = sides[1][1].record.id
    whole = kept.outputs[last]
    other = Outputs(whole.split, whole.data_revision, (*whole.ids[:-1], "image-x"), None, None, None, whole.metrics)
    kept.outputs[last] = other
    found = examine(KEY, *sides, kept)
    assert found.evidence == "training seeds"
    assert any("are of other examples" in note for note in found.notes)
