"""A spec and its sections but the model's. Component slots have no defaults here: the core names no component."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)

from zoo.spec.explain import error_at
from zoo.spec.model_section import ModelSection, architecture_of
from zoo.spec.options import Chosen, Options, Slot
from zoo.spec.ranges import Count, Seed
from zoo.spec.training_section import TrainingSection


class DecodingSection(Options):
    """How outputs are generated for evaluation and measurement."""

    moved: ClassVar[Mapping[str, str]] = {
        "beams": "decoding.strategy: {use: beam, width: N}",
        "length_penalty": "decoding.strategy: {use: beam, length_penalty: P}",
    }

    strategy: Annotated[Chosen, Slot("decoding")] = Field(
        description="How outputs are chosen from the model's probabilities"
    )
    max_new_tokens: Count = Field(default=128, description="Longest output, in tokens")
    batch_size: Count = Field(default=32, description="Sources (sentences, images) generated for at once")

    @model_validator(mode="after")
    def _strategy_has_no_objection(self) -> DecodingSection:
        if objection := self.strategy.options.objection(self):
            raise ValueError(objection.message)
        return self


class EvaluationSection(Options):
    """What is scored."""

    split: Literal["dev", "test"] = Field(default="test", description="Split that final quality is reported on")
    metrics: list[Annotated[Chosen, Slot("metric")]] = Field(
        min_length=1, description="Quality metrics; the first one ranks"
    )
    probes: list[Annotated[Chosen, Slot("probe")]] = Field(
        default=[], description="What else is read off the model, on a sample of the scored examples"
    )
    max_examples: Count | None = Field(default=None, description="Score only the first N examples of the split")
    keep: Literal["text", "scores"] = Field(
        default="text",
        description="What is kept of each example: its texts and scores, or scores alone (for text that is not yours "
        "to publish)",
    )

    @model_validator(mode="after")
    def _each_probe_once(self) -> EvaluationSection:
        names = [chosen.name for chosen in self.probes]
        for place, name in enumerate(names):
            if name in names[:place]:
                message = f"the probe '{name}' stands here twice: what it finds is recorded under its name"
                raise ValidationError.from_exception_data(
                    "EvaluationSection", [error_at(("probes", place), message, name)]
                )
        return self


class MeasurementSection(Options):
    """What is timed."""

    processes: int = Field(
        default=5,
        ge=0,
        le=100,
        description="Fresh processes that latency is measured in; the median of theirs counts. 0: nothing is timed "
        "but training itself, for sweeps that ask about quality or training alone",
    )
    latency_samples: Count = Field(
        default=20, description="Timed generations, each of one source, in each process, after warm-up"
    )
    warmup: int = Field(default=3, ge=0, description="Untimed generations first, at the least")
    throughput_batches: list[Count] = Field(
        default=[16], min_length=1, max_length=20, description="Sentences a batch when measuring tokens/s, one by one"
    )
    flush_cache: bool = Field(
        default=False, description="Empty the GPU's L2 cache before each sample of device time (outside the window)"
    )


class SeedsSection(Options):
    """Streams of randomness with a seed of their own, which stays where the spec's seed changes."""

    later: ClassVar[frozenset[str]] = frozenset({"initialization", "order", "dropout"})

    initialization: Seed | None = Field(default=None, description="Seed of the initial weights; 'seed' where absent")
    order: Seed | None = Field(default=None, description="Seed of the order of examples; 'seed' where absent")
    dropout: Seed | None = Field(
        default=None, description="Seed of dropout and all else that is drawn in a step; 'seed' where absent"
    )


class Spec(Options):
    """A resolved spec: every slot filled, every default written out."""

    later: ClassVar[frozenset[str]] = frozenset({"peer", "target_tokenizer", "seeds"})

    name: str = Field(
        min_length=1,
        max_length=100,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._+=-]*$",
        description="Name of the model on boards and in run folders",
    )
    description: str = Field(default="", max_length=2000, description="One paragraph for the model page")
    seed: int = Field(default=1, ge=0, lt=2**32, description="Seed of initialisation, order and dropout")
    seeds: SeedsSection | None = Field(
        default=None, description="Seeds of their own for some of the three; all follow 'seed' where absent"
    )
    task: Annotated[Chosen, Slot("task")] = Field(description="Task, with its data")
    tokenizer: Annotated[Chosen, Slot("tokenizer")] = Field(
        description="Tokenizer trained on the training split: on both sides, or on the source alone where there is a "
        "target_tokenizer"
    )
    target_tokenizer: Annotated[Chosen, Slot("tokenizer")] | None = Field(
        default=None, description="Tokenizer of the target, trained on that side; where absent, the sides share one"
    )
    model: ModelSection = Field(description="The model")
    training: TrainingSection = Field(description="Its training")
    decoding: DecodingSection = Field(description="Its decoding")
    evaluation: EvaluationSection = Field(description="Its evaluation")
    measurement: MeasurementSection = Field(
        default_factory=MeasurementSection, description="Its performance measurement"
    )
    peer: Annotated[Chosen, Slot("peer")] | None = Field(
        default=None,
        description="A system that is evaluated as it comes, in the place of a model: what is said of models is left "
        "aside",
    )

    @property
    def takes_pretrained_tokenizer(self) -> bool:
        """Whether the model keeps the vocabulary of the pretrained model that it begins with."""
        return self.model.writes_text and self.tokenizer.component.traits.get("pretrained") is True

    @property
    def has_separate_tokenizers(self) -> bool:
        """Whether source and target are read by tokenizers of their own: trained so, or those of a model of zoo."""
        taken = self.model.pretrained if self.takes_pretrained_tokenizer else None
        return self.target_tokenizer is not None if taken is None else taken.target_tokenizer

    @field_validator("seeds")
    @classmethod
    def _no_seeds_are_none_at_all(cls, value: SeedsSection | None) -> SeedsSection | None:
        return None if value == SeedsSection() else value

    @model_validator(mode="after")
    def _the_model_reads_and_writes_what_the_task_has(self) -> Spec:
        traits, model = self.task.component.traits, self.model
        for trait, does, found in (("inputs", "reads", model.reads), ("outputs", "writes", model.writes)):
            given = traits.get(trait, "text")
            if given != found:
                article = "an" if model.architecture[0] in "aeiou" else "a"
                message = (
                    f"the {trait} of the task '{self.task.name}' are of the kind '{given}', but {article} "
                    f"{model.architecture} {does} '{found}': take another task, or another model.architecture"
                )
                raise ValidationError.from_exception_data("Spec", [error_at(("task",), message, self.task.name)])
        return self

    @model_validator(mode="after")
    def _one_stack_has_one_vocabulary(self) -> Spec:
        architecture = self.model.architecture
        details = []
        if self.model.is_language_model and self.target_tokenizer is not None:
            message = f"a {architecture} reads and writes with one vocabulary: leave 'target_tokenizer' out"
            details.append(error_at(("target_tokenizer",), message, None, at_key=True))
        if self.model.reads_images and self.target_tokenizer is not None:
            message = f"an {architecture} reads no text: leave 'target_tokenizer' out"
            details.append(error_at(("target_tokenizer",), message, None, at_key=True))
        if self.training.source_loss and architecture != "causal-lm":
            prefix = architecture == "prefix-lm"
            why = "each source token sees the ones that it would predict" if prefix else "its encoder predicts nothing"
            message = f"expected false in {'a' if prefix else 'an'} {architecture}: {why}"
            details.append(error_at(("training", "source_loss"), message, True))
        if details:
            raise ValidationError.from_exception_data("Spec", details)
        return self

    @model_validator(mode="after")
    def _separate_vocabularies_share_no_matrix(self) -> Spec:
        if self.target_tokenizer is not None and self.model.tie_embeddings in {"all", "inputs"}:
            if self.model.pretrained is not None:
                message = "source and target of the pretrained model share a matrix: leave out target_tokenizer"
                chosen = self.target_tokenizer.name
                raise ValidationError.from_exception_data("Spec", [error_at(("target_tokenizer",), message, chosen)])
            message = (
                "separate vocabularies (target_tokenizer) have no matrix in common: "
                "set model.tie_embeddings to 'decoder' or 'none'"
            )
            explicit = "tie_embeddings" in self.model.model_fields_set
            loc = ("model", "tie_embeddings") if explicit else ("target_tokenizer",)
            found = self.model.tie_embeddings
            raise ValidationError.from_exception_data("Spec", [error_at(loc, message, found)])
        return self

    @model_validator(mode="after")
    def _pretrained_tokenizers_come_with_their_model(self) -> Spec:
        chosen = {"tokenizer": self.tokenizer, "target_tokenizer": self.target_tokenizer}
        taken = [key for key, item in chosen.items() if item and item.component.traits.get("pretrained") is True]
        if not taken:
            return self
        name = self.tokenizer.name if taken[0] == "tokenizer" else chosen[taken[0]].name  # type: ignore[union-attr]
        if self.model.pretrained is None:
            message = (
                f"'{name}' is the tokenizer of a pretrained model, and the model begins with none: give model.from"
            )
        elif self.target_tokenizer is not None:
            message = f"'{name}' reads both sides: leave out target_tokenizer"
        else:
            return self
        raise ValidationError.from_exception_data("Spec", [error_at((taken[0],), message, name)])

    @model_validator(mode="after")
    def _packed_rows_have_no_context(self) -> Spec:
        if self.training.packing and self.model.context_encoder is not None:
            message = "rows of examples with a context cannot be packed: set packing to false, or drop context_encoder"
            raise ValidationError.from_exception_data("Spec", [error_at(("training", "packing"), message, True)])
        return self

    @model_validator(mode="after")
    def _fused_scores_are_made_whole(self) -> Spec:
        if self.training.logits_chunk is not None and self.model.output_fusion is not None:
            message = "an output fusion reads the logits of all tokens at once: leave out logits_chunk or it"
            chunk = self.training.logits_chunk
            raise ValidationError.from_exception_data("Spec", [error_at(("training", "logits_chunk"), message, chunk)])
        return self

    @model_validator(mode="after")
    def _probing_needs_probes(self) -> Spec:
        if self.training.probe_every is not None and not self.evaluation.probes:
            message = "there is nothing to measure: name probes in evaluation.probes"
            every = self.training.probe_every
            raise ValidationError.from_exception_data("Spec", [error_at(("training", "probe_every"), message, every)])
        return self

    # The last one is the outermost: what is made here has been through its own class's validators, and only those.
    @model_validator(mode="wrap")
    @classmethod
    def _of_its_architecture(cls, data: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        """Those of a detector and of a generator have other sections, that of a peer fewer."""
        if cls is not Spec or not isinstance(data, dict):
            return handler(data)
        if data.get("peer") is not None:
            from zoo.spec.peer_spec import PeerSpec

            return PeerSpec.model_validate(data, context=info.context)
        architecture = architecture_of(data.get("model"))
        if architecture == "detector":
            from zoo.spec.detection_spec import DetectionSpec

            return DetectionSpec.model_validate(data, context=info.context)
        if architecture == "generator":
            from zoo.spec.generator_spec import GeneratorSpec

            return GeneratorSpec.model_validate(data, context=info.context)
        return handler(data)
