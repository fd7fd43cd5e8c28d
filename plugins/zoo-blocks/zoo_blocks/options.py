"""Options of blocks, normalisations, activations and feed-forward layers. Torch-free."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from zoo.spec.options import Chosen, Options, Slot


class LayerNormOptions(Options):
    """Options of `layer-norm`."""

    eps: float = Field(default=1e-5, gt=0, description="Added to the variance before its root is taken")
    bias: bool = Field(default=True, description="Whether a trained shift follows the trained gain")


class RmsNormOptions(Options):
    """Options of `rms-norm`."""

    eps: float = Field(default=1e-6, gt=0, description="Added to the mean square before its root is taken")


class LeakyReluOptions(Options):
    """Options of `leaky_relu`."""

    slope: float = Field(default=0.01, ge=0, le=1, description="Slope for negative inputs")


class GeluOptions(Options):
    """Options of `gelu`."""

    form: Literal["exact", "tanh"] = Field(
        default="exact", description="exact: x times the normal distribution function; tanh: its approximation"
    )


class MlpOptions(Options):
    """Options of `mlp`."""

    width: int | None = Field(default=None, ge=1, le=1_000_000, description="Hidden width; 4 D where absent")
    activation: Annotated[Chosen, Slot("activation")] = Field(
        default="zoo-blocks/relu",  # type: ignore[assignment]  # the slot turns the name into a component
        description="Non-linearity between the two projections",
    )
    dropout: float = Field(default=0.0, ge=0, lt=1, description="Dropout on the hidden features")
    bias: bool = Field(default=True, description="Bias terms in both projections")


class SwigluOptions(Options):
    """Options of `swiglu`."""

    width: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Hidden width; 8/3 D rounded up where absent, which has the weights of an mlp of width 4 D",
    )
    bias: bool = Field(default=False, description="Bias terms in the three projections; the paper has none")
