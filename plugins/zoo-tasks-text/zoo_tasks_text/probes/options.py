"""Options of the probes. Torch-free."""

from __future__ import annotations

from pydantic import Field

from zoo.probes.options import ProbeOptions


class DomainTagOptions(ProbeOptions):
    """Options of `domain-tag`."""

    max_examples: int = Field(default=200, ge=1, description="Examples that are looked at, of a domain that has a tag")
    outputs: bool = Field(
        default=True,
        description="Have the model write under each tag, and score that with the spec's metrics that read outputs; "
        "else the loss alone",
    )
