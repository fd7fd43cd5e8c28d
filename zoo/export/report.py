"""What ``export.json`` says of how far an export is from its model in torch. Torch-free."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


def finite(value: float | None) -> float | None:
    """The value, or None where it is no finite number."""
    return None if value is None or not math.isfinite(value) else float(value)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ExactParity(_Part):
    """How logits and greedy outputs compared before weights were made smaller."""

    examples: int
    largest_difference: float
    same_outputs: int
    mean_difference: float | None = None
    divergence: float | None = None


class SameOutputs(_Part):
    """Outputs that one way of decoding gives in both."""

    decoding: str = Field(description="Such as 'greedy', 'beam of 4', 'detection'")
    same: int = Field(description="Examples whose outputs are the same")


class MetricDrop(_Part):
    """A metric of the spec on both, decoded as the spec decodes."""

    metric: str
    direction: Literal["higher", "lower"]
    unit: str
    signature: str
    torch: float | None = Field(description="Of the model's outputs; None where they give no number")
    export: float | None = Field(description="Of the export's")
    drop: float | None = Field(description="How much worse the export is, in the metric's unit; below 0: better")
    interval: tuple[float, float] | None = Field(
        default=None, description="Of the drop: 95%, by a paired bootstrap of the examples"
    )
    max_drop: float | None = Field(default=None, description="The drop that was allowed; None: any")

    @property
    def passes(self) -> bool:
        """Whether the drop is within what is allowed. What gives no number on torch's side bounds nothing."""
        if self.max_drop is None or self.torch is None:
            return True
        return self.drop is not None and self.drop <= self.max_drop


class LayerSensitivity(_Part):
    """What the export of some layers alone does, all others being in float32."""

    layers: str = Field(description="A name of a layer in torch, or a glob over several of one part of the model")
    divergence: float | None = Field(description="Of next-token probabilities from torch's, in nats a token")
    mean_difference: float | None = Field(
        default=None,
        description="Mean absolute difference of logits; of a detector's boxes each counts by how sure torch is of it",
    )
    largest_difference: float | None = Field(description="None: some are no finite numbers")

    @property
    def harm(self) -> float:
        """What layers are ranked by."""
        found = (self.divergence, self.mean_difference, self.largest_difference)
        return math.inf if self.largest_difference is None else next(value for value in found if value is not None)


class Remedy(_Part):
    """The layers that bring an export within its bound when they stay in float32."""

    keep_float32: list[str]
    drops: list[MetricDrop] = Field(description="What was then measured")


class ParityReport(_Part):
    """An export beside its model, on the same examples."""

    examples: int
    taken_from: str = Field(description="The split of the spec's data, or a file")
    compared: Literal["logits", "scores and boxes"] = Field(
        default="logits", description="What the differences below are of"
    )
    largest_difference: float | None = Field(
        description="Of logits along torch's greedy outputs, each step from the cache. None: some are no finite numbers"
    )
    mean_difference: float | None = None
    divergence: float | None = Field(default=None, description="Of next-token probabilities, in nats a token")
    outputs: list[SameOutputs]
    metrics: list[MetricDrop] = Field(default_factory=list)
    changed_layers: int = Field(default=0, description="Layers that are held or computed in less than float32")
    sensitivity: list[LayerSensitivity] = Field(default_factory=list, description="Most harmful first, where asked for")
    remedy: Remedy | None = Field(default=None, description="Of an export that is past its bound")
    notes: list[str] = Field(default_factory=list, description="What was not compared, and why")

    @property
    def passes(self) -> bool:
        """Whether logits are finite, and no metric is past its bound."""
        return self.largest_difference is not None and all(drop.passes for drop in self.metrics)
