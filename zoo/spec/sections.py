"""The sections of a spec. Component slots have no defaults here: the core names no component."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, ValidationError, model_serializer, model_validator

from zoo.spec.explain import error_at
from zoo.spec.options import Chosen, Options, Slot
from zoo.spec.pretrained.section import PretrainedSection

Position = Annotated[Chosen, Slot("position")]
Probability = Annotated[float, Field(ge=0.0, lt=1.0)]
Count = Annotated[int, Field(ge=1)]


class StackSection(Options):
    """One stack of layers: the encoder or the decoder."""

    layers: int = Field(ge=1, le=1000, description="Number of layers")
    position: Position | None = Field(
        default=None, description="Position scheme of this stack; model.position where absent"
    )


class ModelSection(Options):
    """What is assembled."""

    architecture: Literal["encoder-decoder"] = Field(
        default="encoder-decoder", description="Skeleton: how stacks are connected"
    )
    d_model: int = Field(ge=1, le=65536, description="Width D of the residual stream")
    heads: int = Field(
        ge=1, le=1024, description="Attention heads H; D must be divisible by H, unless head_dim is given"
    )
    head_dim: int | None = Field(default=None, ge=1, le=65536, description="Width Dh of a head; D / H where absent")
    encoder: StackSection = Field(description="Encoder stack")
    decoder: StackSection = Field(description="Decoder stack")
    position: Position = Field(description="Position scheme of both stacks")
    block: Annotated[Chosen, Slot("block")] = Field(description="Where residual connections and normalisations stand")
    normalization: Annotated[Chosen, Slot("normalization")] = Field(description="Normalisation layer")
    feedforward: Annotated[Chosen, Slot("feedforward")] = Field(description="Feed-forward layer")
    fusion: Annotated[Chosen, Slot("fusion")] = Field(
        description="What cross-attention reads from the encoder's layers"
    )
    dropout: Probability = Field(default=0.1, description="Dropout on embeddings and on each sublayer's output")
    attention_dropout: Probability = Field(default=0.0, description="Dropout on attention weights")
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
        "target (inputs), none",
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

    @model_validator(mode="after")
    def _heads_divide_width(self) -> ModelSection:
        if self.head_dim is None and self.d_model % self.heads:
            raise ValueError(f"d_model {self.d_model} is not divisible by heads {self.heads}")
        return self


class TrainingSection(Options):
    """How the model is trained."""

    steps: int = Field(ge=0, description="Optimizer steps; 0 leaves the initial weights")
    batch_tokens: Count = Field(default=4096, description="Token budget of one optimizer micro-batch, padding included")
    gradient_accumulation: Count = Field(default=1, description="Micro-batches per optimizer step")
    objective: Annotated[Chosen, Slot("token-loss")] = Field(description="Training loss per target token")
    optimizer: Annotated[Chosen, Slot("optimizer")] = Field(description="Optimizer")
    schedule: Annotated[Chosen, Slot("schedule")] = Field(description="Learning-rate schedule")
    clipping: Annotated[Chosen, Slot("clipping")] = Field(description="Gradient clipping before each step")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="auto", description="auto: bf16 on GPUs that have it, fp32 elsewhere"
    )
    max_tokens: Count = Field(default=256, description="Longer training examples are left out (on any side)")
    packing: bool = Field(
        default=False,
        description="Lay several examples into each row, so that rows are full; they do not see each other",
    )
    data_workers: int = Field(
        default=0, ge=0, le=64, description="Processes that make batches ahead; the batches are the same for any number"
    )
    evaluate_every: Count | None = Field(default=None, description="Steps between dev-loss evaluations")
    save_every: Count | None = Field(default=None, description="Steps between checkpoints")
    keep_checkpoints: Count = Field(default=2, description="Newest complete checkpoints that are kept")
    log_every: Count = Field(default=20, description="Steps between log lines")


class DecodingSection(Options):
    """How outputs are generated for evaluation and measurement."""

    beams: int = Field(default=1, ge=1, le=64, description="Beam width; 1 is greedy")
    max_new_tokens: Count = Field(default=128, description="Longest output, in tokens")
    length_penalty: float = Field(
        default=1.0, description="Exponent of the length in a beam's score (log-probability / length^p)"
    )
    batch_size: Count = Field(default=32, description="Sentences generated at once")


class EvaluationSection(Options):
    """What is scored."""

    split: Literal["dev", "test"] = Field(default="test", description="Split that final quality is reported on")
    metrics: list[Annotated[Chosen, Slot("metric")]] = Field(
        min_length=1, description="Quality metrics; the first one ranks"
    )
    max_examples: Count | None = Field(default=None, description="Score only the first N examples of the split")
    keep: Literal["text", "scores"] = Field(
        default="text",
        description="What is kept of each example: its texts and scores, or scores alone (for text that is not yours "
        "to publish)",
    )


class MeasurementSection(Options):
    """What is timed."""

    processes: int = Field(
        default=5, ge=1, le=100, description="Fresh processes that latency is measured in; the median of theirs counts"
    )
    latency_samples: Count = Field(
        default=20, description="Timed single-sentence generations in each process, after warm-up"
    )
    warmup: int = Field(default=3, ge=0, description="Untimed generations first, at the least")
    throughput_batches: list[Count] = Field(
        default=[16], min_length=1, max_length=20, description="Sentences a batch when measuring tokens/s, one by one"
    )
    flush_cache: bool = Field(
        default=False, description="Empty the GPU's L2 cache before each sample of device time (outside the window)"
    )


class Spec(Options):
    """A resolved spec: every slot filled, every default written out."""

    name: str = Field(
        min_length=1,
        max_length=100,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._+=-]*$",
        description="Name of the model on boards and in run folders",
    )
    description: str = Field(default="", max_length=2000, description="One paragraph for the model page")
    seed: int = Field(default=1, ge=0, lt=2**32, description="Seed of initialisation, order and dropout")
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
    decoding: DecodingSection = Field(default_factory=DecodingSection, description="Its decoding")
    evaluation: EvaluationSection = Field(description="Its evaluation")
    measurement: MeasurementSection = Field(
        default_factory=MeasurementSection, description="Its performance measurement"
    )

    @model_validator(mode="after")
    def _separate_vocabularies_share_no_matrix(self) -> Spec:
        if self.target_tokenizer is not None and self.model.tie_embeddings in {"all", "inputs"}:
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

    @model_serializer(mode="wrap")
    def _without_an_absent_tokenizer(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # A spec that shares its vocabulary keeps the hash that it had before there were separate ones.
        plain: dict[str, Any] = handler(self)
        if plain.get("target_tokenizer", "") is None:
            del plain["target_tokenizer"]
        return plain
