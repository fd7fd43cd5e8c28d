"""What every context encoder can be told, whatever it does with the context. Torch-free."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from zoo.spec.options import Options


class ContextOptions(Options):
    """Base of the options of context encoders: how the second source is read. The host does what they say."""

    share: Literal["embeddings", "weights"] = Field(
        default="embeddings",
        description="What reading the context shares with reading the source: the token embeddings, in front of a "
        "stack of its own; or all weights of the encoder",
    )
    layers: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="Layers of the context's own stack; as many as the encoder's where absent",
    )
    context: Literal["true", "shuffled", "gaussian", "ignored"] = Field(
        default="true",
        description="What is read as context. Controls: shuffled: that of another example of the batch; gaussian: "
        "noise in place of the context's states; ignored: the true one in training, none afterwards",
    )
    noise: float = Field(
        default=1.0, gt=0, description="Standard deviation of the noise of context: gaussian (states have about 1)"
    )

    @model_validator(mode="after")
    def _layers_are_its_own(self) -> ContextOptions:
        if self.layers is not None and (self.share == "weights" or self.context == "gaussian"):
            why = "share: weights" if self.share == "weights" else "context: gaussian"
            raise ValueError(f"layers: with {why} the context has no stack of its own")
        return self
