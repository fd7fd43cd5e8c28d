"""Specs of generators: no tokenizer, no decoding, no loss of tokens; images are made from noise.

`zoo.spec.sections.Spec` and `zoo.spec.model_section.ModelSection` make one of these where ``model.architecture`` is
``generator``, so that whoever reads a spec need not know. What stands in every other spec is None here.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, ValidationError, model_validator

from zoo.spec.explain import error_at
from zoo.spec.model_section import ModelSection
from zoo.spec.options import Chosen, Options, Slot
from zoo.spec.own_section import OneComponent, OwnLossTraining, WithoutText, only
from zoo.spec.ranges import Count, Seed
from zoo.spec.sections import Spec

WHO = "a generator"
_OF_MODELS: frozenset[str] = frozenset({"architecture", "generator"})
_OF_SPECS: frozenset[str] = frozenset(Spec.model_fields) - {"tokenizer", "target_tokenizer", "decoding", "peer"} | {
    "generation"
}
"""The keys of a generator's sections, for the JSON Schema."""


class GeneratorModel(OneComponent):
    """What a generator is assembled from: one component. The size of its images is the task's."""

    model_config = ConfigDict(json_schema_extra=lambda schema: only(schema, _OF_MODELS))
    later: ClassVar[frozenset[str]] = frozenset(ModelSection.model_fields) - _OF_MODELS
    who = WHO

    architecture: Literal["generator"] = Field(description="Skeleton: a generator of images")
    generator: Annotated[Chosen, Slot("generator")] = Field(description="The generator")


class GeneratorTraining(OwnLossTraining):
    """How a generator is trained; of `batch_tokens`, each image is one."""

    who = WHO


class GenerationSection(Options):
    """How images are generated for evaluation and measurement: as many as the split has examples."""

    seed: Seed = Field(default=0, description="Seed of the noise that images are made from")
    batch_size: Count = Field(
        default=64, description="Images generated together; with the seed it decides which images there are"
    )


class GeneratorSpec(WithoutText):
    """The resolved spec of a generator."""

    model_config = ConfigDict(json_schema_extra=lambda schema: only(schema, _OF_SPECS))
    who = WHO

    model: GeneratorModel = Field(description="The model")
    training: GeneratorTraining = Field(description="Its training")
    generation: GenerationSection = Field(
        default_factory=GenerationSection, description="How images are generated for evaluation and measurement"
    )

    @model_validator(mode="after")
    def _generator_has_no_objection(self) -> GeneratorSpec:
        options = self.model.generator.options
        if objection := options.objection(self.training):
            at = () if objection.option is None else (objection.option,)
            value = None if objection.option is None else getattr(options, objection.option)
            detail = error_at(("model", "generator", *at), objection.message, value)
            raise ValidationError.from_exception_data("Spec", [detail])
        return self
