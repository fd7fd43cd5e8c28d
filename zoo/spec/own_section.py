"""What the specs of models that are one component (a detector, a generator) have in common: they have no text."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import ConfigDict, Field, ValidationError, model_validator

from zoo.spec.explain import error_at
from zoo.spec.model_section import ModelSection
from zoo.spec.sections import Spec
from zoo.spec.training_section import TrainingSection, clipping_not_required


def refused(model: str, who: str, data: Any, absent: frozenset[str]) -> Any:
    """`data` as it is. Raises ValidationError, of the section `model`, where it gives what `who` has not."""
    found = [name for name in data if name in absent and data[name] is not None] if isinstance(data, dict) else []
    if found:
        details = [error_at((name,), f"{who} has no {name}: leave '{name}' out", None, at_key=True) for name in found]
        raise ValidationError.from_exception_data(model, details)
    return data


def only(schema: dict[str, Any], names: frozenset[str]) -> None:
    """In the JSON Schema: nothing but these properties."""
    schema["properties"] = {name: item for name, item in schema["properties"].items() if name in names}


class OneComponent(ModelSection):
    """What a model is assembled from that is one component: its options have what other models say here."""

    who: ClassVar[str]

    d_model: None = Field(default=None, description="None")  # type: ignore[assignment]
    heads: None = Field(default=None, description="None")  # type: ignore[assignment]
    block: None = Field(default=None, description="None")  # type: ignore[assignment]
    normalization: None = Field(default=None, description="None")  # type: ignore[assignment]
    feedforward: None = Field(default=None, description="None")  # type: ignore[assignment]

    @model_validator(mode="before")
    @classmethod
    def _nothing_of_other_architectures(cls, data: Any) -> Any:
        return refused("ModelSection", cls.who, data, cls.later)


class OwnLossTraining(TrainingSection):
    """How a model is trained whose losses are its own; a micro-batch's are a mean, weighed by its images."""

    model_config = ConfigDict(json_schema_extra=lambda schema: _without_objective(schema))
    later: ClassVar[frozenset[str]] = TrainingSection.later | {"objective", "max_tokens", "source_loss", "packing"}
    who: ClassVar[str]
    _absent: ClassVar[frozenset[str]] = frozenset(
        {"objective", "max_tokens", "source_loss", "packing", "logits_chunk", "log_token_gradients", "watch_outputs"}
    )

    objective: None = Field(default=None, description="None: the losses are the model's own")  # type: ignore[assignment]

    @model_validator(mode="before")
    @classmethod
    def _nothing_of_texts(cls, data: Any) -> Any:
        return refused("TrainingSection", cls.who, data, cls._absent)


class WithoutText(Spec):
    """A spec whose model reads no text and writes none."""

    later: ClassVar[frozenset[str]] = Spec.later | {"tokenizer", "decoding"}
    who: ClassVar[str]

    tokenizer: None = Field(default=None, description="None")  # type: ignore[assignment]
    decoding: None = Field(default=None, description="None")  # type: ignore[assignment]

    @model_validator(mode="before")
    @classmethod
    def _nothing_of_texts(cls, data: Any) -> Any:
        return refused("Spec", cls.who, data, frozenset({"tokenizer", "target_tokenizer", "decoding"}))

    @model_validator(mode="after")
    def _probes_read_texts(self) -> WithoutText:
        if self.evaluation.probes:
            message = "probes are read off models that write texts: leave 'probes' out"
            raise ValidationError.from_exception_data("Spec", [error_at(("evaluation", "probes"), message, None)])
        return self


def _without_objective(schema: dict[str, Any]) -> None:
    clipping_not_required(schema)
    only(schema, frozenset(schema["properties"]) - OwnLossTraining._absent)
