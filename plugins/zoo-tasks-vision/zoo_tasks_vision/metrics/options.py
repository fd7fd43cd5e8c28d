"""Options of this distribution's components. Torch-free."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from zoo.spec.options import Options

Threshold = Annotated[float, Field(gt=0.0, le=1.0)]


class MeanAveragePrecisionOptions(Options):
    """Mean average precision."""

    iou_thresholds: list[Threshold] = Field(
        default=[0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95],
        min_length=1,
        max_length=50,
        description="Overlaps (intersection over union) from which a box counts as found; [0.5] is mAP50, [0.75] mAP75",
    )
    max_dets: int = Field(
        default=100, ge=1, le=1_000_000, description="Detections of an image and category that count, surest first"
    )
    min_area: float = Field(default=0.0, ge=0.0, description="Boxes below this many square pixels are left out")
    max_area: float | None = Field(
        default=None, gt=0.0, description="Boxes above this many square pixels are left out; none where absent"
    )
    class_agnostic: bool = Field(default=False, description="Take all categories for one: boxes alone are judged")
    resamples: int = Field(default=1000, ge=100, le=100_000, description="Bootstrap resamples of the 95% interval")
    seed: int = Field(default=12345, ge=0, lt=2**32, description="Seed of the bootstrap")

    @model_validator(mode="after")
    def _in_order(self) -> MeanAveragePrecisionOptions:
        if sorted(set(self.iou_thresholds)) != list(self.iou_thresholds):
            raise ValueError(f"iou_thresholds {self.iou_thresholds}: expected each once, the smallest first")
        if self.max_area is not None and self.max_area < self.min_area:
            raise ValueError(f"max_area {self.max_area:g} is below min_area {self.min_area:g}")
        return self


class HallucinationOptions(Options):
    """Text where there is none."""

    content: Literal["any", "blank", "unseen"] = Field(
        default="any",
        description="Which images without text count: all, those of a background as in training, or of an unseen one "
        "(the task's stratum `content`)",
    )


def _rising(edges: list[float]) -> list[float]:
    if sorted(set(edges)) != edges:
        raise ValueError(f"{edges}: expected each once, the smallest first")
    return edges


Edges = Annotated[
    list[Annotated[float, Field(gt=0, allow_inf_nan=False)]],
    Field(min_length=1, max_length=16),
    AfterValidator(_rising),
]
"""Edges of bands (`zoo_tasks_vision.bands`), rising."""


class RecallBySizeOptions(Options):
    """Share of boxes that are found, by their shape."""

    iou: Threshold = Field(default=0.5, description="Overlap from which a box counts as found")
    max_dets: int = Field(
        default=500, ge=1, le=1_000_000, description="Detections of an image and category that count, surest first"
    )
    class_agnostic: bool = Field(default=False, description="Take all categories for one: boxes alone are judged")
    aspects: Edges = Field(
        default=[2.0, 5.0, 15.0, 40.0], description="Edges of the bands of width by height that boxes are grouped by"
    )
    heights: Edges = Field(
        default=[8.0, 16.0, 32.0, 64.0], description="Edges of the bands of height, in pixels of the task's images"
    )
    resamples: int = Field(default=1000, ge=100, le=100_000, description="Bootstrap resamples of the 95% interval")
    seed: int = Field(default=12345, ge=0, lt=2**32, description="Seed of the bootstrap")
