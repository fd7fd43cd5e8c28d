"""Options of the schedules whose rate falls to a floor, at the end or in cycles. Torch-free."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from zoo.spec.options import Options


class LinearOptions(Options):
    """Options of `linear`."""

    warmup: int = Field(default=0, ge=0, description="Steps of linear warm-up")
    floor: float = Field(default=0.0, ge=0, le=1, description="Where the decay ends, as a fraction of the peak")


class WarmupStableDecayOptions(Options):
    """Options of `warmup-stable-decay`."""

    warmup: int = Field(default=0, ge=0, description="Steps of linear warm-up")
    decay: float = Field(
        default=0.2, gt=0, le=1, description="Share of all steps that the decay at the end takes; what is left is flat"
    )
    shape: Literal["1-sqrt", "linear", "cosine", "exponential"] = Field(
        default="1-sqrt",
        description="How the rate falls over the decay: one minus the root of the way, the way itself, half a cosine, "
        "or by the same factor in each step",
    )
    floor: float = Field(
        default=0.0, ge=0, le=1, description="Where the decay ends, as a fraction of the peak; exponential needs one"
    )

    @model_validator(mode="after")
    def _exponential_decay_ends_somewhere(self) -> WarmupStableDecayOptions:
        if self.shape == "exponential" and self.floor == 0:
            raise ValueError("an exponential decay never reaches 0: set floor to what it shall end at, such as 0.1")
        return self


class CyclicOptions(Options):
    """Options of `cyclic`."""

    cycle: int = Field(default=1000, ge=1, description="Steps of one cycle c")
    low: float = Field(default=0.1, gt=0, le=1, description="Lowest rate of a cycle, as a fraction of the peak")
    shape: Literal["sawtooth", "triangle", "cosine"] = Field(
        default="sawtooth",
        description="sawtooth: from the peak straight down to the lowest, then back at once (SWA); triangle: up and "
        "down; cosine: half a cosine down, then back at once",
    )
    start: float = Field(
        default=0.0, ge=0, lt=1, description="Share of all steps at the peak before the first cycle, warm-up included"
    )
    warmup: int = Field(default=0, ge=0, description="Steps of linear warm-up")
