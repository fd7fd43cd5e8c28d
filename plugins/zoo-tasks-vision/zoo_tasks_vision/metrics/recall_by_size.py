"""Share of boxes that are found, by aspect and height."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.statistics import percentile_interval
from zoo.tasks import Detection, Example, GroundTruth, Items, SummedMetric
from zoo_tasks_vision.bands import bands, size_name, size_of
from zoo_tasks_vision.metrics.matching import Rules, evaluated
from zoo_tasks_vision.metrics.options import RecallBySizeOptions


class RecallBySize(SummedMetric):
    """Recall at one overlap; the details have it by the aspect and height of the boxes that are there.

    pycocotools decides what matches what (Lin et al. 2014). An item has, for each stratum, the boxes found and those
    there; crowds count nowhere.
    """

    options: RecallBySizeOptions
    name = "recall-by-size"
    direction = "higher"
    unit = "fraction"

    @property
    def signature(self) -> str:
        options = self.options
        edges = f"aspects:{_joined(options.aspects)}|heights:{_joined(options.heights)}"
        classes = "one" if options.class_agnostic else "each"
        versions = f"pycocotools:{metadata.version('pycocotools')}|version:{metadata.version('zoo-tasks-vision')}"
        return (
            f"recall-by-size|iou:{options.iou:g}|dets:{options.max_dets}|classes:{classes}|{edges}|{versions}|"
            f"bs:{options.resamples}|seed:{options.seed}"
        )

    def items(
        self,
        outputs: Sequence[Sequence[Detection]],
        references: Sequence[Sequence[GroundTruth]],
        sources: Sequence[Any],
    ) -> Items:
        """Of each image ``[2 S]``: boxes found and boxes there, stratum after stratum."""
        if not len(outputs) == len(references) == len(sources):
            raise ValueError(
                f"{len(outputs)} outputs, {len(references)} references, {len(sources)} sources: expected equal numbers"
            )
        if not outputs:
            raise ValueError("nothing to score: no images")
        options = self.options
        rules = Rules((options.iou,), options.max_dets, 0.0, None, options.class_agnostic)
        boxes = [truth.box for truths in references for truth in truths]
        places = {name: place for place, name in enumerate(self._names())}
        counts = np.zeros((len(outputs), len(places), 2))
        for match in evaluated(outputs, references, rules).evalImgs:
            if match is None:
                continue
            rows = zip(match["gtIds"], match["gtIgnore"], match["gtMatches"][0], strict=True)
            for number, ignored, matched in rows:
                if not ignored:
                    stratum = places[size_of(boxes[number - 1], options.aspects, options.heights)]
                    counts[match["image_id"], stratum] += (matched > 0, 1)
        return list(counts.reshape(len(outputs), -1))

    def example_items(self, outputs: Sequence[Any], examples: Sequence[Example]) -> Items:
        """`items` against the boxes of the examples."""
        return self.items(outputs, [item.boxes for item in examples], [item.id for item in examples])

    def of_sums(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Recall of all boxes; 0 where there is none."""
        found, there = sums[:, ::2].sum(axis=1), sums[:, 1::2].sum(axis=1)  # [B]
        return np.where(there > 0, found / np.where(there > 0, there, 1.0), 0.0)

    def segments(self, items: Items) -> NDArray[np.float64]:
        """NaN where there is nothing to find in an image."""
        sums = np.stack(items)  # [N, 2 S]
        return np.where(sums[:, 1::2].sum(axis=1) > 0, self.of_sums(sums), np.nan)

    def interval(self, items: Items) -> tuple[float, float]:
        return percentile_interval(
            len(items),
            lambda weights: self.combined(items, weights),
            resamples=self.options.resamples,
            seed=self.options.seed,
        )

    def details(self, items: Items) -> Mapping[str, Any]:
        """``by_size``: recall and boxes of each stratum that has boxes; ``worst``: the name of the worst."""
        sums = np.sum(items, axis=0).reshape(-1, 2)  # [S, 2]
        found = {
            name: {"recall": float(matched / there), "boxes": int(there)}
            for name, (matched, there) in zip(self._names(), sums, strict=True)
            if there
        }
        return {"by_size": found, "worst": min(found, key=lambda name: found[name]["recall"], default=None)}

    def _names(self) -> list[str]:
        options = self.options
        return [size_name(aspect, height) for aspect in bands(options.aspects) for height in bands(options.heights)]


def _joined(edges: Sequence[float]) -> str:
    return ",".join(f"{edge:g}" for edge in edges)
