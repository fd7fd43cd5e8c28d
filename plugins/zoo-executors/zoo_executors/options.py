"""Options of the executors. Torch-free."""

from __future__ import annotations

from pydantic import Field, field_validator

from zoo.spec.options import Options


class LocalOptions(Options):
    """Options of `local`."""

    workers: int = Field(
        default=1,
        ge=1,
        le=256,
        description="Cells at once; they share the machine's threads and take turns on its GPUs",
    )


class RayOptions(Options):
    """Options of `ray`."""

    address: str | None = Field(
        default=None,
        min_length=1,
        description="A running cluster, such as 'auto' or 10.0.0.1:6379; none: one of our own",
    )
    workers: int | None = Field(
        default=None, ge=1, le=100_000, description="Cells at once at the most; without it, what the resources allow"
    )
    cpus: int = Field(default=1, ge=1, description="CPUs that a cell takes, which is also its number of threads")
    gpus: float | None = Field(
        default=None,
        ge=0,
        description="GPUs that a cell takes, a share of one or whole ones; without it, one for each of its processes "
        "where the cluster has any",
    )
    resubmissions: int = Field(
        default=3, ge=0, le=100, description="How often a cell whose worker died is handed out again"
    )

    @field_validator("gpus")
    @classmethod
    def _a_share_or_whole(cls, gpus: float | None) -> float | None:
        if gpus is not None and gpus > 1 and gpus != int(gpus):
            raise ValueError("expected a share of one GPU, or a whole number")  # Ray hands out no others
        return gpus
