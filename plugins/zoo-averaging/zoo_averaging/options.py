"""Options of this distribution's components. Torch-free."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from zoo.spec import Chosen, Options, Slot
from zoo.spec.averaging import AveragingOptions, Start


class EmaOptions(AveragingOptions):
    """Options of `ema`."""

    decay: float = Field(
        default=0.999, ge=0, lt=1, description="Share of the old average in the new one, at each set of weights"
    )
    warmup: bool = Field(
        default=True,
        description="Let the share grow from a small one to `decay`, so that early weights are soon forgotten: "
        "min(decay, (1 + t) / (10 + t)) with t sets of weights in the average",
    )


class SwaOptions(AveragingOptions):
    """Options of `swa`."""

    start: Start = Field(
        default=0.75,
        description="First step whose weights count: a step (1 or more), or a share of the steps (below 1)",
    )
    every: int = Field(
        default=10,
        ge=1,
        description="Steps from one set of weights that counts to the next, back from the last step, which does; the "
        "cycle of a cyclic rate",
    )


class LastKOptions(AveragingOptions):
    """Options of `last-k`."""

    k: int = Field(default=5, ge=1, le=1000, description="Sets of weights in the average: the newest ones")
    every: int = Field(
        default=100,
        ge=1,
        description="Steps from one set of weights that counts to the next, back from the last step, which does",
    )


class SwaScheduleOptions(Options):
    """Options of the schedule `swa`."""

    start: Start = Field(
        default=0.75,
        description="Step (1 or more) or share of the steps (below 1) after which the rate is that of the averaging",
    )
    rate: float = Field(default=0.5, gt=0, description="The rate from then on, as a multiple of the optimizer's")
    low: float | None = Field(
        default=None, ge=0, description="The rate that each cycle falls to, from `rate`; constant where absent"
    )
    cycle: int | None = Field(
        default=None,
        ge=2,
        description="Steps of a cycle; the last one ends with training. That of the averaging's `every`",
    )
    before: Annotated[Chosen, Slot("schedule")] | None = Field(
        default=None, description="Schedule until then; the optimizer's own rate where absent"
    )

    @model_validator(mode="after")
    def _cycles_go_down(self) -> SwaScheduleOptions:
        if (self.low is None) != (self.cycle is None):
            raise ValueError("low and cycle make a cyclic rate together: give both or neither")
        if self.low is not None and self.low > self.rate:
            raise ValueError(f"low {self.low} is above rate {self.rate}: a cycle falls from rate to low")
        return self
