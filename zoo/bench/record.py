"""`zoo.record/1`: one immutable JSON file per attempt at a cell."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA: Literal["zoo.record/1"] = "zoo.record/1"

Status = Literal["ok", "collapsed", "nan", "oom", "timeout", "invalid", "infra"]
"""ok; collapsed: one output whatever the input; nan: a loss that is not finite; oom; timeout; invalid: the cell
cannot be built; infra: the machine failed, not the cell (the only status that is retried)."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Quality(_Part):
    """One metric on one split."""

    metric: str
    value: float
    direction: Literal["higher", "lower"]
    unit: str = Field(description="Unit of the value, such as 'points' or 'fraction'")
    signature: str = Field(description="Version and settings of the metric")
    split: str
    examples: int = Field(ge=0, description="Number of scored examples")
    interval: tuple[float, float] | None = Field(default=None, description="95% interval over examples")


class Distribution(_Part):
    """Repeated samples of one quantity."""

    unit: str
    samples: int = Field(ge=1)
    median: float
    minimum: float
    maximum: float
    p90: float | None = Field(default=None, description="Only from 100 samples")
    p99: float | None = Field(default=None, description="Only from 1000 samples")
    values: list[float] = Field(default_factory=list, description="The samples themselves, in order")


class Performance(_Part):
    """What was measured on one device. Absent parts were not measured."""

    device: str = Field(description="'cpu' or the name of the GPU")
    device_kind: Literal["cpu", "cuda"]
    threads: int = Field(ge=1)
    dtype: str
    attention: str = Field(description="Attention backend that ran")
    latency: Distribution | None = Field(default=None, description="End-to-end, one sentence, seconds")
    tokens_per_second: float | None = Field(default=None, description="Generated tokens a second at throughput_batch")
    throughput_batch: int | None = None
    peak_memory_bytes: int | None = Field(default=None, description="Peak of a fresh process that generates")
    memory_kind: str | None = Field(
        default=None, description="What peak_memory_bytes counts: 'rss' or 'cuda-allocated'"
    )
    training_tokens_per_second: float | None = None


class Sample(_Part):
    """One example with its output, for the model page."""

    id: str
    source: str
    reference: str
    output: str


class CurvePoint(_Part):
    """One logged point of training."""

    step: int
    loss: float | None = None
    dev_loss: float | None = None
    learning_rate: float | None = None
    gradient_norm: float | None = None
    clipped_fraction: float | None = None


class Record(_Part):
    """One attempt. `id` is the file's name without its ending."""

    schema_: Literal["zoo.record/1"] = Field(default=SCHEMA, alias="schema")
    id: str = Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z._-]{7,127}$")
    created: str = Field(description="UTC, ISO 8601")
    cell: str = Field(
        description="Key of the cell: sha256 of spec, seed, data revision, plugin versions, hardware class"
    )
    name: str = Field(description="Name of the model in the spec")
    role: Literal["model", "baseline"] = Field(
        default="model", description="baseline: a control such as copying the source or an untrained model"
    )
    task: str = Field(description="Board, such as office-zh-en")
    status: Status
    error: str | None = Field(default=None, description="One line for every status but ok")
    seed: int
    spec: dict[str, Any] = Field(description="Resolved spec; empty for a baseline that has none")
    spec_hash: str
    data_revision: str
    distributions: dict[str, str] = Field(description="Distribution -> version")
    parameters: int | None = Field(default=None, description="Trainable parameters, each tied matrix once")
    steps: int | None = None
    training_seconds: float | None = None
    quality: list[Quality] = Field(default_factory=list)
    performance: list[Performance] = Field(default_factory=list)
    probes: dict[str, float] = Field(default_factory=dict, description="Named scalars, such as distinct_output_ratio")
    curve: list[CurvePoint] = Field(default_factory=list)
    samples: list[Sample] = Field(default_factory=list)
    environment: dict[str, Any] = Field(
        default_factory=dict, description="Host, CPU, GPU, clocks, versions, git commit"
    )
    attempt: int = Field(default=1, ge=1)

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True)
