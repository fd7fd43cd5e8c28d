"""Text that is read where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata

import numpy as np
from numpy.typing import NDArray

from zoo.errors import InputError
from zoo.statistics import wilson_interval
from zoo.tasks import Example, Items, SummedMetric
from zoo_tasks_vision.metrics.options import HallucinationOptions


class Hallucination(SummedMetric):
    """Share of the images without text for which at least one character is written; white space is none.

    The task adds such images to its test split (`blank` and `unseen` of `rendered-lines`).
    """

    options: HallucinationOptions
    direction = "lower"
    unit = "fraction"

    @property
    def name(self) -> str:
        """``hallucination``, or ``hallucination-blank`` where only such images count."""
        content = self.options.content
        return "hallucination" if content == "any" else f"hallucination-{content}"

    @property
    def signature(self) -> str:
        return f"{self.name}|space:ignored|interval:wilson|version:{metadata.version('zoo-tasks-vision')}"

    def accept(self, examples: Sequence[Example]) -> None:
        """Raises InputError where every example has text."""
        if not any(self._counts(example) for example in examples):
            kind = "" if self.options.content == "any" else f" of content '{self.options.content}'"
            raise InputError(
                f"metric {self.name}: none of {len(examples)} examples is an image without text{kind}: give the task "
                "some (rendered-lines: blank, unseen)"
            )

    def items(self, outputs: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> Items:
        """1 for an output of some characters, and 1 for an example without text; two zeros for the others."""
        if not len(outputs) == len(references) == len(sources):
            raise ValueError(
                f"{len(outputs)} outputs, {len(references)} references, {len(sources)} sources: expected equal numbers"
            )
        if not outputs:
            raise ValueError("nothing to score: no outputs")
        return [_item(output, not reference.strip()) for output, reference in zip(outputs, references, strict=True)]

    def example_items(self, outputs: Sequence[str], examples: Sequence[Example]) -> Items:
        """`items`, of the images that the options name."""
        references = [example.target for example in examples]
        self.items(outputs, references, references)  # refuses what does not fit
        return [_item(output, self._counts(example)) for output, example in zip(outputs, examples, strict=True)]

    def of_sums(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where a resample holds no image without text nothing was invented: 0."""
        invented, images = sums[:, 0], sums[:, 1]
        return np.where(images > 0, invented / np.where(images > 0, images, 1.0), 0.0)

    def segments(self, items: Items) -> NDArray[np.float64]:
        """NaN where an image has text."""
        found = np.stack(items)
        return np.where(found[:, 1] > 0, self.of_sums(found), np.nan)

    def interval(self, items: Items) -> tuple[float, float]:
        invented, images = np.sum(items, axis=0)
        return wilson_interval(float(invented), float(images)) if images else (0.0, 1.0)

    def details(self, items: Items) -> dict[str, int]:
        """How many images there are, and for how many something was written."""
        invented, images = np.sum(items, axis=0)
        return {"images": int(images), "invented": int(invented)}

    def _counts(self, example: Example) -> bool:
        content = self.options.content
        return not example.target.strip() and (content == "any" or example.strata.get("content") == content)


def _item(output: str, counts: bool) -> NDArray[np.float64]:
    return np.array([float(counts and bool(output.strip())), float(counts)])
