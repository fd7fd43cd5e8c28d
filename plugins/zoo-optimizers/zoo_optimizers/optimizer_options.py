"""Options of the optimizers beside AdamW and Adafactor. Torch-free."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from zoo.spec.options import Options
from zoo_optimizers.options import NoDecay

_SPARED = "What is not decayed: vectors (biases and normalisation weights), embeddings"


class SgdOptions(Options):
    """Options of `sgd`."""

    lr: float = Field(default=0.1, gt=0, description="Learning rate at the schedule's peak")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="mu: decay of the sum of gradients; 0 keeps none")
    nesterov: bool = Field(default=False, description="Look ahead along the momentum (needs one)")
    weight_decay: float = Field(
        default=0.0, ge=0, description="L2 penalty: added to the gradient times the weight, and so into the momentum"
    )
    no_decay: list[NoDecay] = Field(default=["vectors"], description=_SPARED)


class LionOptions(Options):
    """Options of `lion`."""

    lr: float = Field(default=1e-4, gt=0, description="eta: learning rate at the schedule's peak; a third of AdamW's")
    beta1: float = Field(default=0.9, ge=0, lt=1, description="Share of the momentum in the direction of a step")
    beta2: float = Field(default=0.99, ge=0, lt=1, description="Decay of the momentum")
    weight_decay: float = Field(
        default=0.03, ge=0, description="lambda: decoupled weight decay, per step and multiplied by the learning rate"
    )
    no_decay: list[NoDecay] = Field(default=["vectors"], description=_SPARED)


class StableAdamWOptions(Options):
    """Options of `stable-adamw`."""

    lr: float = Field(default=1e-3, gt=0, description="alpha: learning rate at the schedule's peak")
    beta1: float = Field(default=0.9, ge=0, lt=1, description="Decay of the first moment")
    beta2: float = Field(default=0.99, ge=0, lt=1, description="Decay of the second moment")
    eps: float = Field(
        default=1e-6, gt=0, description="Added to the root of the second moment; its square is the least u in RMS_t"
    )
    weight_decay: float = Field(
        default=0.01, ge=0, description="lambda: decoupled, per step and multiplied by the rate after its scaling"
    )
    no_decay: list[NoDecay] = Field(default=["vectors"], description=_SPARED)


class MuonOptions(Options):
    """Options of `muon`."""

    lr: float = Field(default=1e-3, gt=0, description="gamma: learning rate of the layers' matrices at the peak")
    momentum: float = Field(default=0.95, ge=0, lt=1, description="mu: decay of the mean of gradients")
    nesterov: bool = Field(default=True, description="Look ahead along the momentum")
    ns_steps: int = Field(default=5, ge=1, le=99, description="k: Newton-Schulz iterations, in bfloat16")
    adjustment: Literal["match-rms", "original"] = Field(
        default="match-rms",
        description="What the rate of an A x B matrix is multiplied by: 0.2 sqrt(max(A, B)), so that updates are as "
        "large as AdamW's (Liu et al. 2025); or sqrt(max(1, A/B)) (Jordan 2024)",
    )
    weight_decay: float = Field(
        default=0.1, ge=0, description="lambda: decoupled weight decay, per step and multiplied by the learning rate"
    )
    adamw_lr: float | None = Field(
        default=None, gt=0, description="Learning rate of everything else, which AdamW moves; lr where absent"
    )
    beta1: float = Field(default=0.9, ge=0, lt=1, description="Decay of AdamW's first moment")
    beta2: float = Field(default=0.95, ge=0, lt=1, description="Decay of AdamW's second moment")
    eps: float = Field(default=1e-8, gt=0, description="Added to the root of AdamW's second moment")
    no_decay: list[NoDecay] = Field(default=["vectors"], description=_SPARED)


class AdamMiniOptions(Options):
    """Options of `adam-mini`."""

    lr: float = Field(default=1e-3, gt=0, description="Learning rate at the schedule's peak")
    beta1: float = Field(default=0.9, ge=0, lt=1, description="Decay of the first moment")
    beta2: float = Field(default=0.999, ge=0, lt=1, description="Decay of a block's mean squared gradient")
    eps: float = Field(default=1e-8, gt=0, description="Added to the root of the second moment")
    weight_decay: float = Field(
        default=0.01, ge=0, description="Decoupled weight decay, per step and multiplied by the learning rate"
    )
    no_decay: list[NoDecay] = Field(default=["vectors"], description=_SPARED)


class ScheduleFreeOptions(Options):
    """Options of `schedule-free`."""

    lr: float = Field(default=2.5e-3, gt=0, description="gamma: learning rate, after the schedule's warm-up if any")
    beta1: float = Field(
        default=0.9, gt=0, lt=1, description="beta: where gradients are taken, between z (0) and its average x (1)"
    )
    beta2: float = Field(default=0.999, ge=0, lt=1, description="Decay of the second moment")
    eps: float = Field(default=1e-8, gt=0, description="Added to the root of the second moment")
    r: float = Field(default=0.0, ge=0, description="The average weighs step t by t^r")
    weight_lr_power: float = Field(
        default=2.0, ge=0, description="... and by the largest rate so far to this power, so that warm-up counts less"
    )
    weight_decay: float = Field(default=0.0, ge=0, description="lambda: weight decay, taken at y and times the rate")
    no_decay: list[NoDecay] = Field(default=["vectors"], description=_SPARED)


class GaLoreOptions(Options):
    """Options of `galore`."""

    lr: float = Field(default=1e-3, gt=0, description="eta: learning rate at the schedule's peak")
    rank: int = Field(default=128, ge=1, description="r: rank of the projection; a matrix's smaller side bounds it")
    update_gap: int = Field(default=200, ge=1, description="T: steps between singular value decompositions")
    scale: float = Field(default=0.25, gt=0, description="alpha: what a projected update is multiplied by")
    per_layer: bool = Field(
        default=False,
        description="Move each parameter in the backward pass and free its gradient at once; needs "
        "gradient_accumulation 1 and clipping none",
    )
    beta1: float = Field(default=0.9, ge=0, lt=1, description="Decay of the first moment")
    beta2: float = Field(default=0.999, ge=0, lt=1, description="Decay of the second moment")
    eps: float = Field(default=1e-6, gt=0, description="Added to the root of the second moment, before its correction")
    weight_decay: float = Field(
        default=0.0, ge=0, description="Decoupled weight decay, per step, after it, and multiplied by the learning rate"
    )
    no_decay: list[NoDecay] = Field(default=["vectors"], description=_SPARED)


class AdamW8bitOptions(Options):
    """Options of `adamw-8bit` and `paged-adamw-8bit`."""

    lr: float = Field(default=1e-3, gt=0, description="Learning rate at the schedule's peak")
    beta1: float = Field(default=0.9, ge=0, lt=1, description="Decay of the first moment")
    beta2: float = Field(default=0.999, ge=0, lt=1, description="Decay of the second moment")
    eps: float = Field(default=1e-8, gt=0, description="Added to the root of the second moment")
    weight_decay: float = Field(
        default=0.01, ge=0, description="Decoupled weight decay, per step and multiplied by the learning rate"
    )
    min_8bit_size: int = Field(
        default=4096, ge=1, description="A parameter with fewer numbers keeps its moments in 32 bits"
    )
    no_decay: list[NoDecay] = Field(default=["vectors"], description=_SPARED)
