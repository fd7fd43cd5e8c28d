"""Options of the token losses. Torch-free."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field, model_validator

from zoo.spec.options import Chosen, Options, Slot


class LabelSmoothingOptions(Options):
    """Options of `label-smoothing`."""

    epsilon: float = Field(default=0.1, ge=0, lt=1, description="Mass that is spread evenly over the vocabulary")


class WrappingOptions(Options):
    """Options of a loss that changes another one."""

    of: Annotated[Chosen, Slot("token-loss")] = Field(
        default="zoo-objectives/cross-entropy",  # type: ignore[assignment]  # the slot turns the name into a component
        description="The loss that is changed; any, one of these included",
    )


class EntOptions(WrappingOptions):
    """Options of `ent`."""

    threshold: float | None = Field(
        default=None,
        gt=0,
        lt=math.sqrt(2),
        description="Drop tokens whose error norm, between 0 and the root of 2, is larger",
    )
    fraction: float | None = Field(
        default=None, gt=0, lt=1, description="Drop this share of a micro-batch's target tokens: those of largest norm"
    )
    start: int = Field(default=0, ge=0, description="Steps before the first token is dropped")

    @model_validator(mode="after")
    def _one_form(self) -> EntOptions:
        if (self.threshold is None) == (self.fraction is None):
            raise ValueError("expected either 'threshold' or 'fraction'")
        return self


class RDropOptions(WrappingOptions):
    """Options of `r-drop`."""

    alpha: float = Field(
        default=5.0, gt=0, description="Weight of the divergence, as in the paper (5 for translation there)"
    )


class UnlikelihoodOptions(WrappingOptions):
    """Options of `unlikelihood`."""

    alpha: float = Field(default=1.0, gt=0, description="Weight of the unlikelihood of tokens that stood before")


class ZLossOptions(WrappingOptions):
    """Options of `z-loss`."""

    weight: float = Field(default=1e-4, gt=0, description="Weight of the squared logarithm of the normaliser")
