"""Options of the context encoders. Torch-free."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from zoo.spec.context import ContextOptions


class CombinedOptions(ContextOptions):
    """Options of `inside` and `outside`."""

    combine: Literal["gate", "sum"] = Field(
        default="gate",
        description="How source and context are put together: a gate between them, for every feature; or their sum",
    )
