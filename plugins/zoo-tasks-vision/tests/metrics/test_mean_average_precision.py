"""Mean average precision against pycocotools and faster-coco-eval, on the images as they are and repeated."""

from __future__ import annotations

import contextlib
import io
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from zoo_tasks_vision.metrics.mean_average_precision import MeanAveragePrecision
from zoo_tasks_vision.metrics.options import MeanAveragePrecisionOptions

from zoo.tasks import Detection, GroundTruth

OVERLAPS = MeanAveragePrecisionOptions().iou_thresholds


def metric(**options):
    return MeanAveragePrecision(MeanAveragePrecisionOptions(**{"resamples": 100, **options}))


def some_images(seed, *, images=8, categories=4, boxes=6, spare=4):
    """Ground truth, and detections near it or anywhere, no two of equal score."""
    draw = random.Random(seed)
    scores = [number / 10_000 for number in draw.sample(range(10_000), images * (boxes + spare) * 2)]

    def box(around=None, spread=0.0):
        if around is None:
            x, y = draw.uniform(0, 200), draw.uniform(0, 200)
            return (x, y, x + draw.uniform(4, 120), y + draw.uniform(4, 120))
        x1, y1, x2, y2 = (edge + draw.gauss(0, spread) for edge in around)
        return (min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))

    references, outputs = [], []
    for _ in range(images):
        truths = [
            GroundTruth(box(), draw.randrange(categories), crowd=draw.random() < 0.15)
            for _ in range(draw.randrange(boxes + 1))
        ]
        found = [
            Detection(
                box(truth.box, draw.choice([1, 4, 12])),
                scores.pop(),
                truth.category if draw.random() < 0.9 else draw.randrange(categories),
            )
            for truth in truths
            for _ in range(draw.choice([0, 1, 1, 2]))
        ]
        found += [Detection(box(), scores.pop(), draw.randrange(categories)) for _ in range(draw.randrange(spare))]
        draw.shuffle(found)
        references.append(truths)
        outputs.append(found)
    return outputs, references


def coco_tables(outputs, references, table_class):
    def table(rows):
        annotations = [
            {
                "id": number,
                "image_id": image,
                "category_id": box.category,
                "bbox": [box.box[0], box.box[1], box.box[2] - box.box[0], box.box[3] - box.box[1]],
                "area": (box.box[2] - box.box[0]) * (box.box[3] - box.box[1]),
                "iscrowd": int(getattr(box, "crowd", False)),
                "score": getattr(box, "score", 0.0),
            }
            for number, (image, box) in enumerate(
                ((image, box) for image, boxes in enumerate(rows) for box in boxes), start=1
            )
        ]
        made = table_class()
        made.dataset = {
            "images": [{"id": image, "width": 500, "height": 500} for image in range(len(rows))],
            "categories": [{"id": category, "name": str(category)} for category in range(10)],
            "annotations": annotations,
        }
        made.createIndex()
        return made

    return table(references), table(outputs)


def by_pycocotools(outputs, references, *, overlaps=OVERLAPS, dets=100, area=(0, 1e10), agnostic=False):
    """The mean of every precision that pycocotools has, whatever its summary would show."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(*coco_tables(outputs, references, COCO), iouType="bbox")
        evaluation.params.iouThrs = np.array(overlaps)
        evaluation.params.maxDets = [dets]
        evaluation.params.areaRng = [list(area)]
        evaluation.params.areaRngLbl = ["all"]
        evaluation.params.useCats = int(not agnostic)
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"]
    return precision[precision > -1].mean()


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("options", "theirs"),
    [
        ({}, {}),
        ({"iou_thresholds": [0.5]}, {"overlaps": [0.5]}),
        ({"iou_thresholds": [0.75]}, {"overlaps": [0.75]}),
        ({"max_dets": 1}, {"dets": 1}),
        ({"min_area": 1024.0, "max_area": 9216.0}, {"area": (1024, 9216)}),
        ({"max_area": 1024.0}, {"area": (0, 1024)}),
        ({"class_agnostic": True}, {"agnostic": True}),
    ],
    ids=["default", "mAP50", "mAP75", "one detection", "medium", "small", "class-agnostic"],
)
def test_the_corpus_value_is_pycocotools(seed, options, theirs):
    outputs, references = some_images(seed)
    value = metric(**options).score(outputs, references, references).value
    assert value == pytest.approx(by_pycocotools(outputs, references, **theirs), abs=1e-9)


def test_the_cases_tell_models_apart():
    values = [metric().score(*(some_images(seed)), [None] * 8).value for seed in range(6)]
    assert len(set(values)) == 6
    assert all(0.1 < value < 0.9 for value in values)


def test_more_than_a_hundred_detections_count_where_that_is_asked_for():
    # 150 boxes in one image, all found. pycocotools' summary would look at 100.
    truths = [[GroundTruth((10.0 * n, 0.0, 10.0 * n + 8, 8.0), 1) for n in range(150)]]
    found = [[Detection(truth.box, 1 - n / 1000, 1) for n, truth in enumerate(truths[0])]]
    assert metric(max_dets=150).score(found, truths, [0]).value == pytest.approx(1.0)
    # 100 of 150 found without a mistake: precision 1 at the recalls 0, .01 ... .66, which are 67 of 101.
    assert metric(max_dets=100).score(found, truths, [0]).value == pytest.approx(67 / 101)
    assert metric(max_dets=120).score(found, truths, [0]).value == pytest.approx(
        by_pycocotools(found, truths, dets=120), abs=1e-12
    )


@pytest.mark.parametrize("seed", range(3))
def test_faster_coco_eval_agrees(seed):
    from faster_coco_eval import COCO, COCOeval_faster

    outputs, references = some_images(seed, images=12)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval_faster(*coco_tables(outputs, references, COCO), iouType="bbox", print_function=len)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert metric().score(outputs, references, references).value == pytest.approx(evaluation.stats[0], abs=1e-6)
    half, most = (metric(iou_thresholds=[overlap]).score(outputs, references, references) for overlap in (0.5, 0.75))
    assert (half.value, most.value) == pytest.approx(tuple(evaluation.stats[1:3]), abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), counts=st.lists(st.integers(0, 3), min_size=5, max_size=5))
def test_weights_are_images_given_so_many_times(seed, counts):
    outputs, references = some_images(seed, images=5)
    ours = metric(max_dets=3)
    value = ours.combined(ours.items(outputs, references, references), np.array([counts], dtype=float))[0]
    repeated = [
        [rows[image] for image, count in enumerate(counts) for _ in range(count)] for rows in (outputs, references)
    ]
    if any(not truth.crowd for truths in repeated[1] for truth in truths):
        assert value == pytest.approx(by_pycocotools(*repeated, dets=3), abs=1e-9)
    else:
        assert value == 0.0


def test_rows_of_weights_are_scored_each_by_itself():
    outputs, references = some_images(4)
    ours = metric()
    items = ours.items(outputs, references, references)
    weights = np.random.default_rng(0).multinomial(8, np.full(8, 1 / 8), size=20).astype(float)
    together = ours.combined(items, weights)
    assert together.tolist() == [ours.combined(items, row[None])[0] for row in weights]
    # Only shares matter.
    assert ours.combined(items, 7 * weights) == pytest.approx(together)


def test_the_score_of_an_image_is_that_of_it_alone_and_none_where_nothing_is_to_be_found():
    outputs, references = some_images(5)
    references[2] = []
    references[3] = [GroundTruth((0, 0, 9, 9), 1, crowd=True)]
    ours = metric()
    segments = ours.segments(ours.items(outputs, references, references))
    for image, value in enumerate(segments):
        if any(not truth.crowd for truth in references[image]):
            assert value == pytest.approx(by_pycocotools([outputs[image]], [references[image]]), abs=1e-9)
        else:
            assert np.isnan(value)
    assert np.isnan(segments).sum() >= 2


def test_the_interval_holds_the_value_where_many_detections_are_noise():
    draw = random.Random(0)

    def box():
        x, y = draw.uniform(0, 300), draw.uniform(0, 300)
        return (x, y, x + draw.uniform(5, 80), y + draw.uniform(5, 80))

    references = [[GroundTruth(box(), draw.randrange(20)) for _ in range(8)] for _ in range(60)]
    outputs = [
        [Detection(truth.box, draw.random(), truth.category) for truth in truths]
        + [Detection(box(), draw.random(), draw.randrange(20)) for _ in range(60)]
        for truths in references
    ]
    ours = metric(iou_thresholds=[0.5], resamples=400)
    items = ours.items(outputs, references, references)
    score = ours.score_items(items)
    weights = np.random.default_rng(3).multinomial(60, np.full(60, 1 / 60), size=2000).astype(float)
    resampled = ours.combined(items, weights)
    assert np.quantile(resampled, 0.025) > score.value, "a case in which plain percentiles would miss it"
    low, high = score.interval
    assert low < score.value < high
    # Two sets of resamples, shifted to where their mean is the value: they differ by sampling noise only.
    expected = np.quantile(resampled, [0.025, 0.975]) - resampled.mean() + score.value
    assert (low, high) == pytest.approx(tuple(expected), abs=0.15 * (expected[1] - expected[0]))


def test_details_hold_the_mean_by_overlap_and_by_category():
    outputs, references = some_images(1)
    score = metric().score(outputs, references, references)
    by_iou, by_category = score.details["by_iou"], score.details["by_category"]
    assert list(by_iou) == ["0.5", "0.55", "0.6", "0.65", "0.7", "0.75", "0.8", "0.85", "0.9", "0.95"]
    assert np.mean(list(by_iou.values())) == pytest.approx(score.value)
    assert np.mean(list(by_category.values())) == pytest.approx(score.value)
    assert by_iou["0.5"] == pytest.approx(by_pycocotools(outputs, references, overlaps=[0.5]), abs=1e-9)
    only = [[[box for box in boxes if box.category == 2] for boxes in rows] for rows in (outputs, references)]
    assert by_category["2"] == pytest.approx(by_pycocotools(*only), abs=1e-9)


def test_by_hand():
    # Two to find. By falling score: right, wrong, right. Precision 1 up to recall 1/2, then 2/3.
    truths = [[GroundTruth((0, 0, 10, 10), 1), GroundTruth((50, 50, 60, 60), 1)]]
    found = [
        [
            Detection((50, 50, 60, 60), 0.7, 1),
            Detection((0, 0, 10, 10), 0.9, 1),
            Detection((20, 20, 30, 30), 0.8, 1),
        ]
    ]
    score = metric().score(found, truths, [0])
    assert score.value == pytest.approx((51 * 1 + 50 * 2 / 3) / 101)
    assert (score.direction, score.unit) == ("higher", "fraction")
    nothing = metric().score([[]], truths, [0])
    assert (nothing.value, nothing.interval) == (0.0, (0.0, 0.0))


def test_nothing_found_where_nothing_is_is_no_mistake_and_something_found_there_is():
    truths = [[GroundTruth((0, 0, 10, 10), 1)], []]
    right = [Detection((0, 0, 10, 10), 0.5, 1)]
    assert metric().score([right, []], truths, [0, 1]).value == pytest.approx(1.0)
    assert metric().score([right, [Detection((0, 0, 9, 9), 0.9, 1)]], truths, [0, 1]).value == pytest.approx(0.5)


def test_the_signature_tells_settings_apart():
    signatures = {
        metric(**options).signature
        for options in (
            {},
            {"iou_thresholds": [0.5]},
            {"max_dets": 300},
            {"min_area": 1.0},
            {"max_area": 1.0},
            {"class_agnostic": True},
            {"seed": 1},
        )
    }
    assert len(signatures) == 7
    assert all("pycocotools:" in signature for signature in signatures)


@pytest.mark.parametrize(
    "options",
    [
        {"iou_thresholds": []},
        {"iou_thresholds": [0.75, 0.5]},
        {"iou_thresholds": [0.5, 0.5]},
        {"iou_thresholds": [0.0]},
        {"iou_thresholds": [1.5]},
        {"max_dets": 0},
        {"min_area": 9.0, "max_area": 1.0},
    ],
)
def test_options_without_meaning_are_refused(options):
    with pytest.raises(ValidationError):
        MeanAveragePrecisionOptions(**options)


def test_categories_that_floats_cannot_hold_are_refused():
    with pytest.raises(ValueError, match="expected one below"):
        metric().items([[]], [[GroundTruth((0, 0, 1, 1), 2**53 + 1)]], [0])


def test_nothing_is_printed(capfd):
    outputs, references = some_images(1)
    metric().score(outputs, references, references)
    assert capfd.readouterr() == ("", "")


def test_a_crowded_page_needs_more_than_a_hundred_detections():
    """150 lines, all found: with COCO's 100 detections the recalls up to .66 are reached, 67 of 101."""
    page = [(0.0, 20.0 * row, 400.0, 20.0 * row + 12) for row in range(150)]
    there = [[GroundTruth(box, 1) for box in page]]
    found = [[Detection(box, 1 - row / 1000, 1) for row, box in enumerate(page)]]
    assert metric(max_dets=100).score(found, there, ["page"]).value == pytest.approx(67 / 101)
    assert metric(max_dets=500).score(found, there, ["page"]).value == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("overlaps", "name"), [([0.5], "map50"), ([0.75], "map75"), ([0.625], "map62.5"), (None, "map")]
)
def test_one_overlap_is_part_of_the_name(overlaps: list[float] | None, name: str) -> None:
    options = {} if overlaps is None else {"iou_thresholds": overlaps}
    assert MeanAveragePrecision(MeanAveragePrecisionOptions.model_validate(options)).name == name
