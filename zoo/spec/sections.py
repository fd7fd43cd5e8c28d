"""The sections of a spec. Component slots have no defaults here: the core names no component."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import (
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails

from zoo.spec import image_section
from zoo.spec.explain import error_at
from zoo.spec.image_section import ImageSection, schema_of_images
from zoo.spec.options import Chosen, Options, Slot
from zoo.spec.pixel_section import PixelSection
from zoo.spec.positions import position_places
from zoo.spec.pretrained.section import PretrainedSection
from zoo.spec.pretrained.zoo_folder import ZOO
from zoo.spec.ranges import Count, Probability, Seed
from zoo.spec.training_section import TrainingSection

Position = Annotated[Chosen, Slot("position")]
Architecture = Literal["encoder-decoder", "causal-lm", "prefix-lm", "image-to-text", "image-ctc", "detector"]


class StackSection(Options):
    """One stack of layers: the encoder, the decoder, or a language model's only one."""

    layers: int = Field(ge=1, le=1000, description="Number of layers")
    position: Position | None = Field(
        default=None, description="Position scheme of this stack; model.position where absent"
    )


class DecoderSection(StackSection):
    """The decoder: a stack with attention to the memory."""

    cross_position: Position | None = Field(
        default=None,
        description="Position scheme of cross-attention, which places target tokens and source tokens; none where "
        "absent. It must act in attention alone",
    )

    @model_validator(mode="after")
    def _cross_position_acts_in_attention(self) -> DecoderSection:
        chosen = self.cross_position
        if chosen is not None and "embedding" in position_places(chosen):
            message = (
                f"'{chosen.name}' adds positions to embeddings, and cross-attention has none of its own: "
                "choose a scheme that acts in attention alone (zoo list position)"
            )
            raise ValidationError.from_exception_data(
                "DecoderSection", [error_at(("cross_position",), message, chosen.id)]
            )
        return self


_PRESENT: dict[str, Any] = {"not": {"type": "null"}}
_BY_ARCHITECTURE: dict[str, Any] = {
    # What an architecture must have and cannot: said here once for loader and schema. Without the key it is the first.
    # Detectors have a schema of their own.
    "allOf": [{"properties": {"detector": {"type": "null"}, "pixels": {"type": "null"}}}],
    "if": {"properties": {"architecture": {"const": "encoder-decoder"}}},
    "then": {
        "required": ["encoder", "decoder", "position", "fusion"],
        "properties": {"decoder": _PRESENT, "position": _PRESENT, "image": {"type": "null"}},
    },
    "else": {
        "if": {"properties": {"architecture": {"enum": ["causal-lm", "prefix-lm"]}}},
        "then": {
            "required": ["decoder", "position"],
            "properties": {
                "encoder": {"type": "null"},
                "fusion": {"type": "null"},
                "output_fusion": {"type": "null"},
                "context_encoder": {"type": "null"},
                "decoder": {**_PRESENT, "properties": {"cross_position": {"type": "null"}}},
                "position": _PRESENT,
                "tie_embeddings": {"enum": ["all", "none"]},
                "scale_output": {"const": False},
                "output_bias": {"const": False},
                "pretrained": {"anyOf": [{"type": "null"}, {"properties": {"type": {"const": ZOO}}}]},
                "image": {"type": "null"},
            },
        },
        "else": schema_of_images(),
    },
}
_OF_LANGUAGE_MODELS: dict[str, tuple[str, ...]] = {
    "lacks": (
        "encoder",
        "fusion",
        "output_fusion",
        "context_encoder",
        "scale_output",
        "output_bias",
        "image",
    ),
    "needs": ("decoder", "position"),
}
_LACKS: dict[str, tuple[str, ...]] = {
    "encoder-decoder": ("image",),
    "causal-lm": _OF_LANGUAGE_MODELS["lacks"],
    "prefix-lm": _OF_LANGUAGE_MODELS["lacks"],
    **image_section.LACKS,
}
_NEEDS: dict[str, tuple[str, ...]] = {
    "encoder-decoder": ("encoder", "decoder", "position", "fusion"),
    "causal-lm": _OF_LANGUAGE_MODELS["needs"],
    "prefix-lm": _OF_LANGUAGE_MODELS["needs"],
    **image_section.NEEDS,
}


class ModelSection(Options):
    """What is assembled."""

    model_config = ConfigDict(json_schema_extra=_BY_ARCHITECTURE)
    later: ClassVar[frozenset[str]] = frozenset({"detector", "head_dropout", "image", "pixels", "word_dropout"})

    architecture: Architecture = Field(
        default="encoder-decoder",
        description="Skeleton: an encoder and a decoder; or one stack that reads the source and goes on with the "
        "target, where each token sees what stands before it (causal-lm), and the source sees itself in both "
        "directions (prefix-lm); an encoder of images and a decoder (image-to-text), or a CTC head (image-ctc); or a "
        "detector of boxes in images, which has the keys detector and pixels alone (detector)",
    )
    d_model: int = Field(ge=1, le=65536, description="Width D of the residual stream")
    heads: int = Field(
        ge=1, le=1024, description="Attention heads H; D must be divisible by H, unless head_dim is given"
    )
    head_dim: int | None = Field(default=None, ge=1, le=65536, description="Width Dh of a head; D / H where absent")
    encoder: StackSection | None = Field(default=None, description="Encoder stack; a language model has none")
    decoder: DecoderSection | None = Field(
        default=None, description="Decoder stack; the only one of a language model; an image-ctc has none"
    )
    position: Position | None = Field(default=None, description="Position scheme of the stacks that read or write text")
    image: ImageSection | None = Field(
        default=None, description="Images, for an encoder that reads them (image-to-text, image-ctc)"
    )
    detector: Annotated[Chosen, Slot("detector")] | None = Field(
        default=None, description="What finds boxes in images, of the architecture detector"
    )
    pixels: PixelSection | None = Field(default=None, description="What a detector sees of an image")
    block: Annotated[Chosen, Slot("block")] = Field(description="Where residual connections and normalisations stand")
    normalization: Annotated[Chosen, Slot("normalization")] = Field(description="Normalisation layer")
    feedforward: Annotated[Chosen, Slot("feedforward")] = Field(description="Feed-forward layer")
    initialization: Annotated[Chosen, Slot("initialization")] | None = Field(
        default=None,
        description="Initial weights of the layers' matrices; where absent, each component initialises itself "
        "(Xavier uniform in ours)",
    )
    fusion: Annotated[Chosen, Slot("fusion")] | None = Field(
        default=None, description="What cross-attention reads from the encoder's layers, in an encoder-decoder"
    )
    output_fusion: Annotated[Chosen, Slot("output-fusion")] | None = Field(
        default=None, description="What the source adds to the scores of the next token; nothing where absent"
    )
    context_encoder: Annotated[Chosen, Slot("context-encoder")] | None = Field(
        default=None, description="Second encoder, for a task with a second input (context); none where absent"
    )
    dropout: Probability = Field(default=0.1, description="Dropout on embeddings and on each sublayer's output")
    attention_dropout: Probability = Field(default=0.0, description="Dropout on attention weights")
    head_dropout: Probability = Field(
        default=0.0, description="Share of attention heads that are left out of an example in training (DropHead)"
    )
    word_dropout: Probability = Field(
        default=0.0, description="Share of tokens whose embedding is left out in training; their positions stay"
    )
    bias: bool = Field(default=True, description="Bias terms in the attention projections")
    scale_embeddings: bool = Field(
        default=True, description="Multiply token embeddings by sqrt(D) (Vaswani et al. 2017, section 3.4)"
    )
    embedding_norm: bool = Field(
        default=False, description="Normalise embeddings, with their positions, before the first layer (BART)"
    )
    scale_output: bool = Field(
        default=False, description="Multiply by D^-0.5 what the output matrix reads (T5 1.0, whose output is tied)"
    )
    output_bias: bool = Field(
        default=False, description="A bias on the logits, zero unless it is read from a pretrained model; not trained"
    )
    tie_embeddings: Literal["all", "decoder", "inputs", "none"] = Field(
        default="all",
        description="Which matrices are one: source, target and output (all), target and output (decoder), source and "
        "target (inputs), none; a language model's input and output (all), or none",
    )
    max_positions: int = Field(
        default=512, ge=1, le=1_000_000, description="Longest sequence, in tokens, that tables are made for"
    )
    attention: Literal["auto", "sdpa", "flex", "eager"] = Field(
        default="auto",
        description="Attention backend; auto: FlexAttention on CUDA where the position scheme lowers to it, else SDPA",
    )
    embedding_std: float | None = Field(
        default=None, gt=0, description="Standard deviation of initial token embeddings; D^-0.5 where absent"
    )
    pretrained: PretrainedSection | None = Field(
        default=None,
        description="The pretrained model whose weights are the initial ones: written by resolving 'from'",
    )

    @model_validator(mode="wrap")
    @classmethod
    def _of_its_architecture(cls, data: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        """A detector has a section of its own."""
        if cls is ModelSection and _is_detector(data):
            from zoo.spec.detection_spec import DetectorModel

            return DetectorModel.model_validate(data, context=info.context)
        return handler(data)

    @model_validator(mode="after")
    def _heads_divide_width(self) -> ModelSection:
        if not self.finds_boxes and self.head_dim is None and self.d_model % self.heads:
            raise ValueError(f"d_model {self.d_model} is not divisible by heads {self.heads}")
        return self

    @model_validator(mode="after")
    def _parts_of_the_architecture(self) -> ModelSection:
        if self.finds_boxes:
            return self  # it has been through its own section's
        details = [self._absent(name) for name in _NEEDS[self.architecture] if getattr(self, name) is None]
        article = "an" if self.architecture.startswith(("e", "i")) else "a"
        a_model = f"{article} {self.architecture}"
        lacks = (*_LACKS[self.architecture], "detector", "pixels")
        found = [name for name in lacks if getattr(self, name) not in (None, False)]
        if self.is_language_model and self.pretrained is not None and self.pretrained.type != ZOO:
            found.append("pretrained")
        details += [
            error_at((name,), f"{a_model} has no {name}: leave '{name}' out", None, at_key=True) for name in found
        ]
        if self.architecture != "encoder-decoder":
            if self.is_language_model and self.cross_position is not None:
                message = f"{a_model} has no cross-attention: leave 'cross_position' out"
                details.append(error_at(("decoder", "cross_position"), message, None, at_key=True))
            if self.tie_embeddings in {"decoder", "inputs"}:
                message = f"{a_model} has an input and an output matrix: expected 'all' (one) or 'none'"
                details.append(error_at(("tie_embeddings",), message, self.tie_embeddings))
        if self.reads_images:
            details += self._not_of_images()
        if details:
            raise ValidationError.from_exception_data("ModelSection", details)
        return self

    def _absent(self, name: str) -> InitErrorDetails:
        """The error of a field that this architecture needs: missing, or given as nothing."""
        field = type(self).model_fields[name]
        slots = [
            item
            for one in get_args(field.annotation)
            for item in getattr(one, "__metadata__", ())
            if isinstance(item, Slot)
        ]
        if name not in self.model_fields_set or not slots:
            return error_at((name,), f"missing key '{name}' ({field.description})", None)
        message = f"expected the name of a {slots[0].kind} or {{use: NAME, ...}}, found nothing"
        return error_at((name,), message, None)

    def _not_of_images(self) -> list[InitErrorDetails]:
        """Errors of keys that are about text, or about the other head."""
        details = []
        if self.encoder is not None and self.encoder.position is not None:
            message = "patches have positions of their own: leave 'position' out, and see image.patch_position"
            details.append(error_at(("encoder", "position"), message, None, at_key=True))
        if self.cross_position is not None:
            message = "cross-attention to patches has no positions: leave 'cross_position' out"
            details.append(error_at(("decoder", "cross_position"), message, None, at_key=True))
        if self.image is not None and self.architecture == "image-ctc" and self.image.registers_in_memory:
            message = "an image-ctc has no decoder to see the registers: leave 'registers_in_memory' out"
            details.append(error_at(("image", "registers_in_memory"), message, True))
        if self.image is not None and self.architecture == "image-to-text" and self.image.frames != 1:
            message = "frames are of an image-ctc: leave 'frames' out"
            details.append(error_at(("image", "frames"), message, self.image.frames))
        return details

    @property
    def is_language_model(self) -> bool:
        """Whether one stack reads the source and writes the target."""
        return self.architecture in {"causal-lm", "prefix-lm"}

    @property
    def reads_images(self) -> bool:
        """Whether the source is an image."""
        return self.finds_boxes or self.architecture in image_section.IMAGE_ARCHITECTURES

    @property
    def finds_boxes(self) -> bool:
        """Whether it is a detector: then `zoo.spec.detection_spec.DetectorModel`."""
        return self.architecture == "detector"

    @property
    def reads(self) -> str:
        """What a source is: ``text`` or ``image``, as the trait ``inputs`` of a task's record says."""
        return "image" if self.reads_images else "text"

    @property
    def writes(self) -> str:
        """What the model gives for a source, as the trait ``outputs`` of a task's record says."""
        return "detections" if self.finds_boxes else "text"

    @property
    def encoder_layers(self) -> int:
        """Layers of the encoder; 0 where the architecture has none."""
        return 0 if self.encoder is None else self.encoder.layers

    @property
    def decoder_layers(self) -> int:
        """Layers of the decoder; 0 where the architecture has none."""
        return 0 if self.decoder is None else self.decoder.layers

    @property
    def cross_position(self) -> Chosen | None:
        """Position scheme of cross-attention, where there is one."""
        return None if self.decoder is None else self.decoder.cross_position

    def position_of(self, side: Literal["encoder", "decoder"]) -> Chosen:
        """The position scheme of a stack that reads or writes text. Raises ValueError where there is none."""
        found = self.stack(side).position or self.position
        if found is None:
            raise ValueError(f"the {side} of this {self.architecture} has no position scheme")
        return found

    def stack(self, side: Literal["encoder", "decoder"]) -> StackSection:
        """The stack of that side. Raises ValueError where the architecture has none."""
        found = self.encoder if side == "encoder" else self.decoder
        if found is None:
            raise ValueError(f"a {self.architecture} has no {side}")
        return found


def _is_detector(model: Any) -> bool:
    """Whether a model section, as data or made, is of the architecture detector."""
    if isinstance(model, ModelSection):
        return model.finds_boxes
    return isinstance(model, dict) and model.get("architecture") == "detector"


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
    def _shortest_output_is_not_longer_than_the_longest(self) -> DecodingSection:
        shortest = getattr(self.strategy.options, "min_new_tokens", 0)
        if shortest > self.max_new_tokens:
            raise ValueError(f"min_new_tokens {shortest} is more than max_new_tokens {self.max_new_tokens}")
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

    later: ClassVar[frozenset[str]] = frozenset({"target_tokenizer", "seeds"})

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

    @property
    def takes_pretrained_tokenizer(self) -> bool:
        """Whether the model keeps the vocabulary of the pretrained model that it begins with."""
        return not self.model.finds_boxes and self.tokenizer.component.traits.get("pretrained") is True

    @property
    def has_separate_tokenizers(self) -> bool:
        """Whether source and target are read by tokenizers of their own: trained so, or those of a model of zoo."""
        taken = self.model.pretrained if self.takes_pretrained_tokenizer else None
        return self.target_tokenizer is not None if taken is None else taken.target_tokenizer

    @model_validator(mode="wrap")
    @classmethod
    def _of_its_architecture(cls, data: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        """That of a detector has other sections."""
        if cls is Spec and isinstance(data, dict) and _is_detector(data.get("model")):
            from zoo.spec.detection_spec import DetectionSpec

            return DetectionSpec.model_validate(data, context=info.context)
        return handler(data)

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
