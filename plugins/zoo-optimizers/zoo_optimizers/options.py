"""Options of the optimizers, clippings and schedules. Torch-free."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from zoo.spec.options import Options

NoDecay = Literal["vectors", "embeddings"]


class AdamWOptions(Options):
    """Options of `adamw`."""

    lr: float = Field(default=1e-3, gt=0, description="Learning rate at the schedule's peak")
    beta1: float = Field(default=0.9, ge=0, lt=1, description="Decay of the first moment")
    beta2: float = Field(default=0.999, ge=0, lt=1, description="Decay of the second moment")
    eps: float = Field(default=1e-8, gt=0, description="Added to the root of the second moment")
    weight_decay: float = Field(
        default=0.01, ge=0, description="Decoupled weight decay, per step and multiplied by the learning rate"
    )
    no_decay: list[NoDecay] = Field(
        default=["vectors"],
        description="What is not decayed: vectors (biases and normalisation weights), embeddings",
    )


class AdafactorOptions(Options):
    """Options of `adafactor`.

    By default the learning rate is the schedule's. The paper's own form is relative_step with scale_parameter, and the
    schedule `constant`; `lr`, which multiplies its step sizes, is then 1 unless it is given.
    """

    later: ClassVar[frozenset[str]] = frozenset({"scale_parameter", "relative_step", "warmup_init", "eps_scale"})

    lr: float = Field(
        default=1e-3, gt=0, description="Learning rate at the schedule's peak; with relative_step a factor, 1 if absent"
    )
    clip_threshold: float | None = Field(
        default=1.0,
        gt=0,
        description="d: an update whose root mean square exceeds d is scaled down to it; null clips no update",
    )
    decay_rate: float = Field(default=0.8, gt=0, le=1, description="c of the second moment's decay, beta2_t = 1 - t^-c")
    eps: float = Field(default=1e-30, ge=0, description="Added to each squared gradient")
    beta1: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="Decay of a first moment over updates; null keeps none and saves its memory",
    )
    scale_parameter: bool = Field(
        default=False, description="Multiply the rate by max(eps_2, RMS(X)), the parameter's own size (section 8)"
    )
    relative_step: bool = Field(
        default=False, description="The paper's step sizes, rho_t = min(1e-2, 1/sqrt(t)), times lr and the schedule"
    )
    warmup_init: bool = Field(
        default=False, description="Begin with rho_t = 1e-6 t where that is less; needs relative_step"
    )
    eps_scale: float = Field(default=1e-3, gt=0, description="eps_2: the least size that scale_parameter takes")
    weight_decay: float = Field(
        default=0.0, ge=0, description="Decoupled weight decay, per step and multiplied by the learning rate"
    )
    no_decay: list[NoDecay] = Field(
        default=["vectors"],
        description="What is not decayed: vectors (biases and normalisation weights), embeddings",
    )

    @model_validator(mode="before")
    @classmethod
    def _relative_steps_are_taken_as_they_are(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("relative_step") is True:
            return {"lr": 1.0, **data}
        return data

    @model_validator(mode="after")
    def _warmup_is_of_relative_steps(self) -> AdafactorOptions:
        if self.warmup_init and not self.relative_step:
            raise ValueError("warmup_init needs relative_step: without it, the schedule warms up")
        return self


class NormClippingOptions(Options):
    """Options of `norm`."""

    max_norm: float = Field(default=1.0, gt=0, description="Bound on the global L2 norm of all gradients")


class InverseSqrtOptions(Options):
    """Options of `inverse-sqrt`."""

    warmup: int = Field(default=4000, ge=1, description="Steps of linear warm-up W; the peak is at step W")


class CosineOptions(Options):
    """Options of `cosine`."""

    warmup: int = Field(default=0, ge=0, description="Steps of linear warm-up")
    floor: float = Field(default=0.0, ge=0, le=1, description="Where the decay ends, as a fraction of the peak")


class ConstantOptions(Options):
    """Options of `constant`."""

    warmup: int = Field(default=0, ge=0, description="Steps of linear warm-up")
