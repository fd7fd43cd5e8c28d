"""What every probe can be told. Torch-free."""

from __future__ import annotations

from pydantic import Field

from zoo.spec.options import Options


class ProbeOptions(Options):
    """Options of every probe; a probe's own model adds to them, and may choose other defaults."""

    max_examples: int = Field(
        default=64, ge=1, description="Examples that are looked at, drawn from those that are evaluated"
    )
    batch_size: int = Field(default=16, ge=1, description="Examples in one pass of the model")
    sample_seed: int = Field(
        default=0, ge=0, lt=2**32, description="Seed of the choice of examples and of what the probe itself draws"
    )
