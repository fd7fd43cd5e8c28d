"""Specs of detectors: no tokenizer, no decoding, no loss of tokens; boxes are found in images.

`zoo.spec.sections.Spec` and `zoo.spec.model_section.ModelSection` make one of these where ``model.architecture`` is
``detector``, so that whoever reads a spec need not know. What stands in every other spec is None here.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, ValidationError, model_validator

from zoo.spec.explain import error_at
from zoo.spec.model_section import ModelSection
from zoo.spec.options import Chosen, Options, Slot
from zoo.spec.pixel_section import PixelSection
from zoo.spec.ranges import Probability
from zoo.spec.sections import DecodingSection, Spec
from zoo.spec.training_section import TrainingSection, clipping_not_required

_OF_MODELS: frozenset[str] = frozenset({"architecture", "detector", "pixels"})
_OF_SPECS: frozenset[str] = frozenset(Spec.model_fields) - {"tokenizer", "target_tokenizer", "decoding", "peer"} | {
    "detection"
}
"""The keys of a detector's sections, for the JSON Schema."""


def _refused(model: str, data: Any, absent: frozenset[str]) -> Any:
    """`data` as it is. Raises ValidationError where it gives what a detector has not."""
    found = [name for name in data if name in absent and data[name] is not None] if isinstance(data, dict) else []
    if found:
        details = [
            error_at((name,), f"a detector has no {name}: leave '{name}' out", None, at_key=True) for name in found
        ]
        raise ValidationError.from_exception_data(model, details)
    return data


class DetectorModel(ModelSection):
    """What a detector is assembled from: one component, and what it sees of an image."""

    model_config = ConfigDict(json_schema_extra=lambda schema: _only(schema, _OF_MODELS))
    later: ClassVar[frozenset[str]] = frozenset(ModelSection.model_fields) - {"architecture", "detector", "pixels"}

    architecture: Literal["detector"] = Field(description="Skeleton: a detector of boxes in images")
    detector: Annotated[Chosen, Slot("detector")] = Field(description="The detector")
    pixels: PixelSection = Field(default_factory=PixelSection, description="What it sees of an image")
    # Its detector's options have what other models say here.
    d_model: None = Field(default=None, description="None")  # type: ignore[assignment]
    heads: None = Field(default=None, description="None")  # type: ignore[assignment]
    block: None = Field(default=None, description="None")  # type: ignore[assignment]
    normalization: None = Field(default=None, description="None")  # type: ignore[assignment]
    feedforward: None = Field(default=None, description="None")  # type: ignore[assignment]

    @model_validator(mode="before")
    @classmethod
    def _nothing_of_other_architectures(cls, data: Any) -> Any:
        return _refused("ModelSection", data, cls.later)


class DetectorTraining(TrainingSection):
    """How a detector is trained. Its losses are its own; a micro-batch's are a mean, weighed by its images."""

    model_config = ConfigDict(json_schema_extra=lambda schema: _without_objective(schema))
    later: ClassVar[frozenset[str]] = TrainingSection.later | {"objective", "max_tokens", "source_loss", "packing"}
    _absent: ClassVar[frozenset[str]] = frozenset(
        {"objective", "max_tokens", "source_loss", "packing", "logits_chunk", "log_token_gradients", "watch_outputs"}
    )

    objective: None = Field(default=None, description="None: a detector's losses are its own")  # type: ignore[assignment]

    @model_validator(mode="before")
    @classmethod
    def _nothing_of_texts(cls, data: Any) -> Any:
        return _refused("TrainingSection", data, cls._absent)


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


class DetectionSpec(Spec):
    """The resolved spec of a detector."""

    model_config = ConfigDict(json_schema_extra=lambda schema: _only(schema, _OF_SPECS))
    later: ClassVar[frozenset[str]] = Spec.later | {"tokenizer", "decoding"}

    model: DetectorModel = Field(description="The model")
    training: DetectorTraining = Field(description="Its training")
    tokenizer: None = Field(default=None, description="None")  # type: ignore[assignment]
    decoding: None = Field(default=None, description="None")  # type: ignore[assignment]
    detection: DetectionSection = Field(
        default_factory=DetectionSection, description="How boxes are found for evaluation and measurement"
    )

    @model_validator(mode="before")
    @classmethod
    def _nothing_of_texts(cls, data: Any) -> Any:
        return _refused("Spec", data, frozenset({"tokenizer", "target_tokenizer", "decoding"}))

    @model_validator(mode="after")
    def _probes_read_texts(self) -> DetectionSpec:
        if self.evaluation.probes:
            message = "probes are read off models that write texts: leave 'probes' out"
            raise ValidationError.from_exception_data("Spec", [error_at(("evaluation", "probes"), message, None)])
        return self


Outputs = DecodingSection | DetectionSection
"""How a model's outputs are made: texts are decoded, boxes are found."""


def outputs_section(spec: Spec) -> Outputs:
    """The section of a spec that says how its model's outputs are made."""
    return spec.detection if isinstance(spec, DetectionSpec) else spec.decoding


def _only(schema: dict[str, Any], names: frozenset[str]) -> None:
    """In the JSON Schema: nothing but these properties."""
    schema["properties"] = {name: item for name, item in schema["properties"].items() if name in names}


def _without_objective(schema: dict[str, Any]) -> None:
    clipping_not_required(schema)
    _only(schema, frozenset(schema["properties"]) - DetectorTraining._absent)
