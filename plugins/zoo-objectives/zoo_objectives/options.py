"""Options of the token losses. Torch-free."""

from __future__ import annotations

from pydantic import Field

from zoo.spec.options import Options


class LabelSmoothingOptions(Options):
    """Options of `label-smoothing`."""

    epsilon: float = Field(default=0.1, ge=0, lt=1, description="Mass that is spread evenly over the vocabulary")
