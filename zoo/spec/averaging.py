"""What every averaging of weights can be told: which steps' weights count. Torch-free."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from zoo.spec.options import Options


def _step_or_share(value: int | float) -> int | float:
    if value < 1 if isinstance(value, int) else not 0 < value < 1:
        raise ValueError(f"expected a step (1 or more) or a share of the steps (between 0 and 1), found {value}")
    return value


Start = Annotated[
    int | float,
    AfterValidator(_step_or_share),
    Field(
        json_schema_extra={
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
            ]
        }
    ),
]
"""A step, counted from 1, or a share of all steps."""


def step_of(start: int | float, total_steps: int) -> int:
    """The step that `start` names in a run of `total_steps`, counted from 1."""
    return start if isinstance(start, int) else max(1, round(start * total_steps))


class AveragingOptions(Options):
    """Base of the options of averagings. The host asks `counts` after each step, and hands the weights over."""

    start: Start = Field(
        default=1, description="First step whose weights count: a step (1 or more), or a share of the steps (below 1)"
    )
    every: int = Field(
        default=1,
        ge=1,
        description="Steps from one set of weights that counts to the next, back from the last step, which does",
    )

    def counts(self, step: int, total_steps: int) -> bool:
        """Whether the weights after `step` (counted from 1) of a run of `total_steps` are averaged."""
        return step >= step_of(self.start, total_steps) and (total_steps - step) % self.every == 0
