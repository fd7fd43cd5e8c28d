"""Options of the optimizers, clippings and schedules. Torch-free."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

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
    """Options of `adafactor`. The learning rate is the schedule's: relative steps and parameter scaling are off."""

    lr: float = Field(default=1e-3, gt=0, description="Learning rate at the schedule's peak")
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
    weight_decay: float = Field(
        default=0.0, ge=0, description="Decoupled weight decay, per step and multiplied by the learning rate"
    )
    no_decay: list[NoDecay] = Field(
        default=["vectors"],
        description="What is not decayed: vectors (biases and normalisation weights), embeddings",
    )


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
