"""The section of a spec that says how the model is trained."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, ValidationError, ValidationInfo, model_validator

from zoo.registry import Registry, current_registry
from zoo.spec.averaging import AveragingOptions, step_of
from zoo.spec.clipping import default_clipping, update_clipping_refused
from zoo.spec.explain import error_at
from zoo.spec.options import Chosen, Options, Slot
from zoo.spec.ranges import Count


class EarlyStopSection(Options):
    """When to end training before its last step."""

    patience: Count = Field(
        default=5, description="Evaluations in a row without a lower development loss, after which training ends"
    )
    min_delta: float = Field(
        default=0.0, ge=0.0, description="How much lower, in nats per token, a loss must be to count as lower"
    )


def clipping_not_required(schema: dict[str, Any]) -> None:
    """In the JSON Schema: `clipping` may be left out, which no default of the field says."""
    schema["required"] = [name for name in schema["required"] if name != "clipping"]


class TrainingSection(Options):
    """How the model is trained."""

    model_config = ConfigDict(json_schema_extra=clipping_not_required)
    later: ClassVar[frozenset[str]] = frozenset(
        {
            "averaging",
            "early_stop",
            "gradient_checkpointing",
            "keep_best",
            "log_token_gradients",
            "logits_chunk",
            "step_tokens",
            "update_clipping",
            "watch_outputs",
        }
    )

    steps: int = Field(ge=0, description="Optimizer steps; 0 leaves the initial weights")
    batch_tokens: Count = Field(
        default=4096,
        description="Token budget of one optimizer micro-batch, padding included; of images, patches are tokens, and "
        "of a detector's cells of 16 x 16 pixels",
    )
    gradient_accumulation: Count = Field(default=1, description="Micro-batches per optimizer step")
    step_tokens: Count | None = Field(
        default=None,
        description="Instead of a number of micro-batches: as many, in their order, as hold at least so many tokens to "
        "be predicted",
    )
    objective: Annotated[Chosen, Slot("token-loss")] = Field(description="Training loss per target token")
    optimizer: Annotated[Chosen, Slot("optimizer")] = Field(description="Optimizer")
    schedule: Annotated[Chosen, Slot("schedule")] = Field(description="Learning-rate schedule")
    clipping: Annotated[Chosen, Slot("clipping")] = Field(
        description="Gradient clipping before each step; where absent, the one that the optimizer's record names "
        "(none for an optimizer that bounds its own updates)"
    )
    update_clipping: Annotated[Chosen, Slot("update-clipping")] | None = Field(
        default=None,
        description="Bound on the optimizer's step in each tensor, by its second moment; none where absent",
    )
    averaging: Annotated[Chosen, Slot("averaging")] | None = Field(
        default=None,
        description="Average over the weights of steps, which the trained model then has; the last weights stand in "
        "last/. Where absent, the model has the last weights",
    )
    gradient_checkpointing: bool = Field(
        default=False,
        description="Keep each layer's input alone, and compute the layer again in the backward pass: less memory, "
        "about a third more time, the same gradients",
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        default="auto",
        description="auto: bf16 on GPUs that have it, fp32 elsewhere. fp16, for GPUs without bf16, scales the loss: "
        "steps whose gradients overflow are skipped",
    )
    logits_chunk: Count | None = Field(
        default=None,
        description="Target tokens whose logits exist at a time, so that a large vocabulary needs less memory; the "
        "loss is the same. All at once where absent",
    )
    source_loss: bool = Field(
        default=False, description="Learn to predict the source's tokens too, in a causal-lm; else the target's alone"
    )
    max_tokens: Count = Field(
        default=256, description="Longer training examples are left out (on any side that is text)"
    )
    packing: bool = Field(
        default=False,
        description="Lay several examples into each row, so that rows are full; they do not see each other",
    )
    data_workers: int = Field(
        default=0, ge=0, le=64, description="Processes that make batches ahead; the batches are the same for any number"
    )
    evaluate_every: Count | None = Field(default=None, description="Steps between dev-loss evaluations")
    early_stop: EarlyStopSection | None = Field(
        default=None, description="End training where the development loss no longer falls; at the last step if absent"
    )
    keep_best: bool = Field(
        default=False, description="Leave the weights of the lowest development loss, not the last ones"
    )
    watch_outputs: int | None = Field(
        default=None,
        ge=10,
        le=1000,
        description="Write outputs for so many development examples at each evaluation, and note where they have "
        "collapsed: the same whatever the source is",
    )
    probe_every: Count | None = Field(
        default=None,
        description="Steps between measurements of evaluation.probes on the development split, logged with the curve",
    )
    save_every: Count | None = Field(default=None, description="Steps between checkpoints")
    keep_checkpoints: Count = Field(default=2, description="Newest complete checkpoints that are kept")
    log_every: Count = Field(default=20, description="Steps between log lines")
    log_token_gradients: bool = Field(
        default=False,
        description="Log the gradient norm of the embeddings' rows, before and after clipping, by how often their "
        "tokens stand in the training data",
    )

    @model_validator(mode="before")
    @classmethod
    def _clipping_goes_with_the_optimizer(cls, data: Any, info: ValidationInfo) -> Any:
        if not isinstance(data, dict) or "clipping" in data:
            return data
        default = default_clipping(data.get("optimizer"), _registry(info))
        return data if default is None else {**data, "clipping": default}

    @model_validator(mode="after")
    def _updates_can_be_clipped(self, info: ValidationInfo) -> TrainingSection:
        if self.update_clipping is None:
            return self
        message = update_clipping_refused(self.optimizer, _registry(info))
        if message is not None:
            loc, found = ("update_clipping",), self.update_clipping.name
            raise ValidationError.from_exception_data("TrainingSection", [error_at(loc, message, found)])
        return self

    @model_validator(mode="after")
    def _evaluations_are_made_where_they_decide(self) -> TrainingSection:
        asking = [name for name in ("early_stop", "keep_best", "watch_outputs") if getattr(self, name)]
        if asking and self.evaluate_every is None:
            message = "this is decided at evaluations, and there are none: set evaluate_every"
            details = [error_at((name,), message, None, at_key=True) for name in asking]
            raise ValidationError.from_exception_data("TrainingSection", details)
        return self

    @model_validator(mode="after")
    def _a_step_is_measured_once(self) -> TrainingSection:
        if self.step_tokens is not None and self.gradient_accumulation > 1:
            message = (
                "a step has a number of micro-batches (gradient_accumulation) or of tokens (step_tokens): leave one out"
            )
            raise ValidationError.from_exception_data(
                "TrainingSection", [error_at(("step_tokens",), message, self.step_tokens)]
            )
        return self

    @model_validator(mode="after")
    def _the_loss_is_scaled_before_any_gradient(self) -> TrainingSection:
        if self.precision == "fp16" and self.logits_chunk is not None:
            message = (
                "the gradients of a chunk are taken before the loss is scaled, as fp16 needs it: leave logits_chunk "
                "out, or take bf16 or fp32"
            )
            chunk = self.logits_chunk
            raise ValidationError.from_exception_data("TrainingSection", [error_at(("logits_chunk",), message, chunk)])
        return self

    @model_validator(mode="after")
    def _one_thing_decides_which_weights_the_model_has(self) -> TrainingSection:
        if self.keep_best and self.averaging is not None:
            message = "the model has the weights of the lowest development loss, or an average: leave out one of them"
            raise ValidationError.from_exception_data("TrainingSection", [error_at(("keep_best",), message, True)])
        return self

    @model_validator(mode="after")
    def _averaging_begins_before_the_end(self) -> TrainingSection:
        options = None if self.averaging is None else self.averaging.options
        if isinstance(options, AveragingOptions) and step_of(options.start, self.steps) > self.steps > 0:
            message = f"'start': the averaging would begin after the last step ({self.steps}), with nothing to average"
            raise ValidationError.from_exception_data(
                "TrainingSection", [error_at(("averaging", "start"), message, options.start)]
            )
        return self


def _registry(info: ValidationInfo) -> Registry:
    registry: Registry = (info.context or {}).get("registry") or current_registry()
    return registry
