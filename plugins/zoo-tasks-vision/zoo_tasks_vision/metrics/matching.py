"""Which detections of an image are right: matching by pycocotools, kept as numbers."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.tasks import Box, Detection, GroundTruth, Items

_LARGEST_CATEGORY = 2**53
"""From here on float64 does not hold every integer."""
_EVERYTHING = 1e300
"""Square pixels that no box has."""


@dataclass(frozen=True)
class Rules:
    """How boxes are matched."""

    iou_thresholds: tuple[float, ...]
    max_dets: int
    min_area: float
    max_area: float | None
    class_agnostic: bool


def matched_items(
    outputs: Sequence[Sequence[Detection]], references: Sequence[Sequence[GroundTruth]], rules: Rules
) -> Items:
    """One vector an image: a count C; for C categories their number and how many boxes of theirs are to be found; then
    for each detection its category, score, and two integers whose bit t says whether at threshold t it is matched and
    whether it is left out.

    Detections stand by category, then by falling score; equal scores keep their order.
    """
    evaluation = evaluated(outputs, references, rules)
    categories = evaluation.params.catIds
    rows = iter(evaluation.evalImgs)  # category by category, each over all images
    truths: list[list[float]] = [[] for _ in outputs]
    found: list[list[NDArray[np.float64]]] = [[] for _ in outputs]
    for category in categories:
        for image in range(len(outputs)):
            match = next(rows)
            if match is None:
                continue
            if count := int(np.sum(np.asarray(match["gtIgnore"]) == 0)):
                truths[image] += [float(category), float(count)]
            scores = np.asarray(match["dtScores"], dtype=np.float64)  # [D]
            matched, ignored = _bits(match["dtMatches"]), _bits(match["dtIgnore"])  # [D]
            found[image].append(np.stack([np.full(len(scores), float(category)), scores, matched, ignored], axis=1))
    return [
        np.concatenate([[len(some) / 2], some, *(part.ravel() for part in parts)])
        for some, parts in zip(truths, found, strict=True)
    ]


def _bits(flags: Any) -> NDArray[np.float64]:
    """Flags ``[T, D]`` as one integer a detection."""
    set_ = np.asarray(flags) != 0  # [T, D]
    powers = 2.0 ** np.arange(len(set_))  # [T]
    bits: NDArray[np.float64] = powers @ set_.astype(np.float64)
    return bits


def evaluated(outputs: Sequence[Sequence[Detection]], references: Sequence[Sequence[GroundTruth]], rules: Rules) -> Any:
    """pycocotools' evaluation of every image and category, before it is accumulated.

    Its numbers of boxes count from 1 over all references in their order.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truths = [
        {"image_id": image, **_annotation(truth.box, truth.category, rules), "iscrowd": int(truth.crowd)}
        for image, boxes in enumerate(references)
        for truth in boxes
    ]
    found = [
        {"image_id": image, **_annotation(box.box, box.category, rules), "score": box.score, "iscrowd": 0}
        for image, boxes in enumerate(outputs)
        for box in boxes
    ]
    categories = sorted({annotation["category_id"] for annotation in (*truths, *found)})
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools tells of its progress
        tables = []
        for annotations in (truths, found):
            table = COCO()
            table.dataset = {
                "images": [{"id": image} for image in range(len(outputs))],
                "categories": [{"id": category} for category in categories],
                # Zero stands for "unmatched" there.
                "annotations": [{"id": number, **entry} for number, entry in enumerate(annotations, start=1)],
            }
            table.createIndex()
            tables.append(table)
        evaluation = COCOeval(*tables, iouType="bbox")
        evaluation.params.imgIds = list(range(len(outputs)))
        evaluation.params.catIds = categories
        evaluation.params.iouThrs = np.array(rules.iou_thresholds)
        evaluation.params.maxDets = [rules.max_dets]
        evaluation.params.areaRng = [[rules.min_area, _EVERYTHING if rules.max_area is None else rules.max_area]]
        evaluation.params.areaRngLbl = ["chosen"]
        evaluation.evaluate()
    return evaluation


def _annotation(box: Box, category: int, rules: Rules) -> dict[str, Any]:
    if abs(category) >= _LARGEST_CATEGORY:
        raise ValueError(f"category {category}: expected one below {_LARGEST_CATEGORY}")
    width, height = box[2] - box[0], box[3] - box[1]
    return {
        "bbox": [box[0], box[1], width, height],
        "area": width * height,
        "category_id": 1 if rules.class_agnostic else category,
    }
