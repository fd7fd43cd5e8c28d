"""Options of the fusions. Torch-free."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from zoo.spec.options import Options


class LayersOptions(Options):
    """Which encoder outputs are read."""

    include_embeddings: bool = Field(
        default=True, description="Whether the embeddings count among the encoder's outputs"
    )
    embeddings_before_positions: bool = Field(
        default=False,
        description="Take the embeddings before positions are added to them (and before dropout), not after",
    )

    @model_validator(mode="after")
    def _embeddings_are_read(self) -> LayersOptions:
        if self.embeddings_before_positions and not self.include_embeddings:
            raise ValueError("embeddings_before_positions: the embeddings are not read (include_embeddings is false)")
        return self


class FreeScalarOptions(LayersOptions):
    """Options of `free-scalar`."""

    weights: Literal["raw", "softmax"] = Field(
        default="raw", description="raw: weights as they are learned; softmax: the control in which they sum to one"
    )
    initial: float | None = Field(
        default=None,
        description="Initial weight (of softmax: its logarithm, up to a constant) of each output read; one divided by "
        "their number (softmax: 0) where absent",
    )
    prior: float | list[float] = Field(
        default=0.0,
        description="Added to the initial weight: of the last encoder layer; or a list, one number for each output "
        "read, the embeddings first",
    )
    normalize_layers: bool = Field(
        default=False,
        description="Layer normalisation of each output before it is weighted, with its own gain and shift",
    )


class LayerAttentionOptions(LayersOptions):
    """Options of `transparent` and `fine-grained`."""

    dropout: float = Field(
        default=0.1, ge=0, lt=1, description="Dropout on the weights' logits, before the softmax over layers"
    )
    normalize: bool = Field(default=True, description="Layer normalisation of the weighted sum")


class SurfaceHardOptions(Options):
    """Options of `surface-hard`."""

    decoder_share: float = Field(
        default=0.8, ge=0, le=1, description="Weight lambda of the decoder's log-probability; the source has the rest"
    )
