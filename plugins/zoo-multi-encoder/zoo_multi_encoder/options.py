"""Options of the context encoders. Torch-free."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from zoo.spec.context import ContextOptions


class CombinedOptions(ContextOptions):
    """Options of `inside` and `outside`."""

    combine: Literal["gate", "scalar-gate", "sum"] = Field(
        default="gate",
        description="How source and context are put together: by a gate for every feature; by one for each token, as "
        "in the code of Li et al. 2020; or as their sum",
    )
