"""Options of normalisations, activations, feed-forward layers and initialisations. Torch-free."""

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


class GluOptions(Options):
    """Options of `glu`."""

    width: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Hidden width; 8/3 D rounded up where absent, which has the weights of an mlp of width 4 D",
    )
    activation: Annotated[Chosen, Slot("activation")] = Field(
        default="zoo-blocks/sigmoid",  # type: ignore[assignment]  # the slot turns the name into a component
        description="Non-linearity of the gate: sigmoid (GLU), identity (Bilinear), relu (ReGLU), gelu (GEGLU), "
        "silu (SwiGLU)",
    )
    dropout: float = Field(default=0.0, ge=0, lt=1, description="Dropout on the gated features")
    bias: bool = Field(default=False, description="Bias terms in the three projections; the paper has none")


Distribution = Literal["uniform", "normal"]


class XavierOptions(Options):
    """Options of `xavier`."""

    gain: float = Field(default=1.0, gt=0, le=100, description="Factor of the standard deviation")
    distribution: Distribution = Field(default="uniform", description="Shape of the draws, of equal variance")


class NormalOptions(Options):
    """Options of `normal`."""

    std: float = Field(default=0.02, gt=0, le=100, description="Standard deviation of every matrix")


class DeepNormInitializationOptions(Options):
    """Options of the initialisation `deep-norm`."""

    distribution: Distribution = Field(
        default="normal", description="Shape of the draws, of equal variance; the paper draws from normal"
    )


class DepthScaledOptions(Options):
    """Options of `depth-scaled`."""

    of: Annotated[Chosen, Slot("initialization")] | None = Field(
        default=None, description="Initialisation that is scaled; where absent, each component's own"
    )
