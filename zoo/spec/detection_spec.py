"""Specs of detectors: no tokenizer, no decoding, no loss of tokens; boxes are found in images.

`zoo.spec.sections.Spec` and `zoo.spec.model_section.ModelSection` make one of these where ``model.architecture`` is
``detector``, so that whoever reads a spec need not know. What stands in every other spec is None here.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from zoo.spec.model_section import ModelSection
from zoo.spec.options import Chosen, Options, Slot
from zoo.spec.own_section import OneComponent, OwnLossTraining, WithoutText, only
from zoo.spec.pixel_section import PixelSection
from zoo.spec.ranges import Probability
from zoo.spec.sections import Spec

_OF_MODELS: frozenset[str] = frozenset({"architecture", "detector", "pixels"})
_OF_SPECS: frozenset[str] = frozenset(Spec.model_fields) - {"tokenizer", "target_tokenizer", "decoding", "peer"} | {
    "detection"
}
"""The keys of a detector's sections, for the JSON Schema."""


class DetectorModel(OneComponent):
    """What a detector is assembled from: one component, and what it sees of an image."""

    model_config = ConfigDict(json_schema_extra=lambda schema: only(schema, _OF_MODELS))
    later: ClassVar[frozenset[str]] = frozenset(ModelSection.model_fields) - {"architecture", "detector", "pixels"}
    who = "a detector"

    architecture: Literal["detector"] = Field(description="Skeleton: a detector of boxes in images")
    detector: Annotated[Chosen, Slot("detector")] = Field(description="The detector")
    pixels: PixelSection = Field(default_factory=PixelSection, description="What it sees of an image")


class DetectorTraining(OwnLossTraining):
    """How a detector is trained."""

    who = "a detector"


class DetectionSection(Options):
    """How boxes are found for evaluation and measurement."""

    max_detections: int = Field(
        default=300,
        ge=1,
        le=100_000,
        description="Boxes of an image that are kept at most, surest first; "
        "no metric sees more, whatever its own bound",
    )
    min_score: Probability = Field(
        default=0.01,
        description="Boxes below this confidence are left out, of metrics too: mAP as COCO has it looks at all (0)",
    )
    batch_size: int = Field(default=8, ge=1, le=100_000, description="Images looked at together")


class DetectionSpec(WithoutText):
    """The resolved spec of a detector."""

    model_config = ConfigDict(json_schema_extra=lambda schema: only(schema, _OF_SPECS))
    who = "a detector"

    model: DetectorModel = Field(description="The model")
    training: DetectorTraining = Field(description="Its training")
    detection: DetectionSection = Field(
        default_factory=DetectionSection, description="How boxes are found for evaluation and measurement"
    )
