"""Options of the initialisations. Torch-free."""

from __future__ import annotations

from pydantic import Field

from zoo.spec.options import Options


class MultivariateNormalOptions(Options):
    """Options of `multivariate-normal`."""

    scale: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="Factor on the covariance of the old rows; near 0 the rows are near their mean, and still differ",
    )


class RandomOptions(Options):
    """Options of `random`."""

    std: float | None = Field(
        default=None, gt=0, description="Standard deviation; without it that of all numbers in the old rows"
    )
