"""Mean average precision of object detection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.statistics import percentile_interval
from zoo.tasks import Detection, Example, GroundTruth, Items, Metric
from zoo_tasks_vision.metrics.matching import Rules, matched_items
from zoo_tasks_vision.metrics.options import MeanAveragePrecisionOptions

RECALLS = np.linspace(0.0, 1.0, 101)
"""Where precision is read off, as COCO does."""
_BLOCK = 4_000_000
"""Weights of detections held at once: 32 MB."""


class MeanAveragePrecision(Metric):
    """Average precision, its mean over categories and overlaps (Lin et al. 2014, with 101 recalls).

    An image is an example: its output a list of `zoo.tasks.Detection`, its reference a list of `zoo.tasks.GroundTruth`.
    pycocotools decides what matches what; a test holds the corpus value to its own. Detections of equal score rank in
    the order of the images, as there: a set with such ties has a slightly different value in another order.
    """

    options: MeanAveragePrecisionOptions
    direction = "higher"
    unit = "fraction"

    @property
    def name(self) -> str:
        """``map``; ``map50``, ``map75`` and the like of one overlap alone."""
        overlaps = self.options.iou_thresholds
        return f"map{100 * overlaps[0]:g}" if len(overlaps) == 1 else "map"

    @property
    def signature(self) -> str:
        options = self.options
        thresholds = ",".join(f"{threshold:g}" for threshold in options.iou_thresholds)
        area = f"{options.min_area:g}-{'inf' if options.max_area is None else format(options.max_area, 'g')}"
        classes = "one" if options.class_agnostic else "each"
        versions = f"pycocotools:{metadata.version('pycocotools')}|version:{metadata.version('zoo-tasks-vision')}"
        return (
            f"map|iou:{thresholds}|dets:{options.max_dets}|area:{area}|classes:{classes}|recalls:{len(RECALLS)}|"
            f"{versions}|bs:{options.resamples}|bias:shifted|seed:{options.seed}"
        )

    def items(
        self,
        outputs: Sequence[Sequence[Detection]],
        references: Sequence[Sequence[GroundTruth]],
        sources: Sequence[Any],
    ) -> Items:
        """What there was to find and what each detection was worth: see `matched_items`."""
        if not len(outputs) == len(references) == len(sources):
            raise ValueError(
                f"{len(outputs)} outputs, {len(references)} references, {len(sources)} sources: expected equal numbers"
            )
        if not outputs:
            raise ValueError("nothing to score: no images")
        options = self.options
        rules = Rules(
            tuple(options.iou_thresholds),
            options.max_dets,
            options.min_area,
            options.max_area,
            options.class_agnostic,
        )
        return matched_items(outputs, references, rules)

    def example_items(self, outputs: Sequence[Any], examples: Sequence[Example]) -> Items:
        """`items` against the boxes of the examples."""
        return self.items(outputs, [item.boxes for item in examples], [item.id for item in examples])

    def combined(self, items: Items, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """mAP ``[B]``; 0 where no chosen image has anything to find."""
        means = _mean_where_defined(self._by_category(items, weights).mean(axis=1))  # [B]
        return np.nan_to_num(means)

    def segments(self, items: Items) -> NDArray[np.float64]:
        """The mAP of each image by itself; NaN where there is nothing to find in it."""
        one = np.ones((1, 1))
        return np.array([_mean_where_defined(self._by_category([item], one).mean(axis=1))[0] for item in items])

    def interval(self, items: Items) -> tuple[float, float]:
        """Percentiles over resampled images, shifted by the bootstrap's own estimate of its bias.

        A resample repeats images, which makes its curve rougher, and the best precision at each recall is taken: the
        resampled values lie above the value itself, far enough to leave it outside (Efron and Tibshirani 1993, ch. 10).
        """
        resampled: list[NDArray[np.float64]] = []

        def scored(weights: NDArray[np.float64]) -> NDArray[np.float64]:
            resampled.append(self.combined(items, weights))
            return resampled[-1]

        options = self.options
        low, high = percentile_interval(len(items), scored, resamples=options.resamples, seed=options.seed)
        bias = np.concatenate(resampled).mean() - self.combined(items, np.ones((1, len(items))))[0]
        return max(0.0, float(low - bias)), min(1.0, float(high - bias))

    def details(self, items: Items) -> Mapping[str, Any]:
        """Average precision at each overlap, and of each category."""
        matches = _Matches.of(items)
        found = self._by_category(items, np.ones((1, len(items))))[0]  # [T, K]
        overlaps = np.nan_to_num(_mean_where_defined(found))  # [T]
        named = zip(self.options.iou_thresholds, overlaps, strict=True)
        categories = zip(matches.categories, found.mean(axis=0), strict=True)
        return {
            "by_iou": {f"{threshold:g}": float(value) for threshold, value in named},
            "by_category": {str(int(category)): float(value) for category, value in categories},
        }

    def _by_category(self, items: Items, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Average precision ``[B, T, K]``; NaN where a category has nothing to find."""
        matches = _Matches.of(items)
        number = len(self.options.iou_thresholds)
        found = np.full((len(weights), number, len(matches.categories)), np.nan)
        for column, category in enumerate(matches.categories):
            ranking = matches.ranking(category, number)
            there = weights @ matches.to_find(category, len(items))  # [B]
            found[there > 0, :, column] = ranking.average_precision(weights[there > 0], there[there > 0])
        return found


@dataclass(frozen=True)
class _Ranking:
    """The detections of one category, surest first."""

    image: NDArray[np.int64]
    """``[M]``: whose detection it is."""
    right: NDArray[np.bool_]
    """``[T, M]``: whether it found something."""
    wrong: NDArray[np.bool_]
    """``[T, M]``: whether it found nothing; a detection that is left out is neither."""

    def average_precision(self, weights: NDArray[np.float64], there: NDArray[np.float64]) -> NDArray[np.float64]:
        """``[B, T]`` where image i counts ``weights[b, i]`` times and ``there[b] > 0`` boxes are to be found."""
        found = np.zeros((len(weights), len(self.right)))
        rows = max(1, _BLOCK // max(1, len(self.image)))
        for start in range(0, len(weights), rows):
            block = slice(start, start + rows)
            times = weights[block][:, self.image]  # [B', M]
            for threshold, (right, wrong) in enumerate(zip(self.right, self.wrong, strict=True)):
                found[block, threshold] = _average_precision(times, right, wrong, there[block])
        return found


def _average_precision(
    times: NDArray[np.float64], right: NDArray[np.bool_], wrong: NDArray[np.bool_], there: NDArray[np.float64]
) -> NDArray[np.float64]:
    """``[B]`` of how often each of M detections counts ``[B, M]``, where they are right and wrong ``[M]``."""
    # Recall rises, and precision is at its best, only where a detection is right: P of the M places.
    hits = np.cumsum(times[:, right], axis=1)  # [B, P]
    misses = np.cumsum(times * wrong, axis=1)[:, right]  # [B, P]
    precision = hits / (hits + misses + np.spacing(1))
    # The best precision at this recall or a higher one.
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    # Each recall is read off at the first place that reaches it.
    reached = np.searchsorted(RECALLS, hits / there[:, None], side="right")  # [B, P]
    read = np.diff(reached, axis=1, prepend=0)
    averages: NDArray[np.float64] = (best * read).sum(axis=1) / len(RECALLS)
    return averages


@dataclass(frozen=True)
class _Matches:
    """The items of many images as arrays."""

    truths: NDArray[np.float64]
    """``[R, 3]``: image, category, boxes to be found."""
    detections: NDArray[np.float64]
    """``[M, 5]``: image, category, score, bits of matched, bits of left out; in the order of the images."""

    @classmethod
    def of(cls, items: Items) -> _Matches:
        truths, detections = [np.zeros((0, 3))], [np.zeros((0, 5))]
        for image, item in enumerate(items):
            end = 1 + 2 * int(item[0])
            for parts, rows in ((truths, item[1:end].reshape(-1, 2)), (detections, item[end:].reshape(-1, 4))):
                parts.append(np.column_stack([np.full(len(rows), float(image)), rows]))
        return cls(np.concatenate(truths), np.concatenate(detections))

    @property
    def categories(self) -> NDArray[np.float64]:
        """Those of which something is to be found: the others have no average precision."""
        return np.unique(self.truths[:, 1])

    def to_find(self, category: float, images: int) -> NDArray[np.float64]:
        """How many boxes of the category each image has, ``[N]``."""
        rows = self.truths[self.truths[:, 1] == category]
        return np.bincount(rows[:, 0].astype(np.int64), weights=rows[:, 2], minlength=images)

    def ranking(self, category: float, thresholds: int) -> _Ranking:
        """The detections of a category."""
        rows = self.detections[self.detections[:, 1] == category]
        rows = rows[np.argsort(-rows[:, 2], kind="stable")]
        shifts = np.arange(thresholds)[:, None]  # [T, 1]
        bits = rows[:, 3:].astype(np.int64).T[:, None]  # [2, 1, M]
        matched, left_out = (bits >> shifts & 1).astype(bool)  # [T, M] each
        return _Ranking(rows[:, 0].astype(np.int64), matched & ~left_out, ~matched & ~left_out)


def _mean_where_defined(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean over the last axis without its NaNs; NaN where there is nothing else."""
    defined = ~np.isnan(values)
    count = defined.sum(axis=-1)
    sums = np.where(defined, values, 0.0).sum(axis=-1)
    return np.where(count > 0, sums / np.maximum(count, 1), np.nan)
