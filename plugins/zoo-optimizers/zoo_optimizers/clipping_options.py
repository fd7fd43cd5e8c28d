"""Options of the clippings by value, by the weights' own size and by group, and of update clipping. Torch-free."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from zoo.spec.options import Chosen, Options, Slot

Clip = Annotated[Chosen, Slot("clipping")]


class ValueClippingOptions(Options):
    """Options of `value`."""

    max_value: float = Field(default=1.0, gt=0, description="Bound on the absolute value of every gradient")


class AdaptiveClippingOptions(Options):
    """Options of `adaptive`."""

    ratio: float = Field(
        default=0.01, gt=0, description="lambda: bound on a unit's gradient norm, as a multiple of its weights' norm"
    )
    eps: float = Field(
        default=1e-3, gt=0, description="Least norm that a unit's weights count as, so that zeros can be left"
    )
    exclude: list[Literal["output", "embeddings", "vectors"]] = Field(
        default=["output"],
        description="What is not clipped: the output matrix (the paper's final layer; a table that is tied to it with "
        "it), embeddings, vectors (biases and normalisation weights)",
    )


class PerGroupClippingOptions(Options):
    """Options of `per-group`. A group that is not named is clipped as `each` says, by its own norm."""

    each: Clip = Field(
        default="zoo-optimizers/norm",  # type: ignore[assignment]  # the slot turns the name into a component
        description="Clipping of each group on its own",
    )
    embeddings: Clip | None = Field(default=None, description="Clipping of the embedding tables; each where absent")
    output: Clip | None = Field(
        default=None, description="Clipping of an output matrix that is tied to no table; each where absent"
    )
    attention: Clip | None = Field(default=None, description="Clipping of the attention projections")
    feedforward: Clip | None = Field(default=None, description="Clipping of the feed-forward layers")
    norms: Clip | None = Field(default=None, description="Clipping of the normalisation layers")
    other: Clip | None = Field(default=None, description="Clipping of everything else")


class RmsUpdateClippingOptions(Options):
    """Options of `rms`."""

    threshold: float = Field(
        default=1.0,
        gt=0,
        description="d: a tensor whose gradients over the root of their second moment have a root "
        "mean square above d is moved by as much less",
    )
