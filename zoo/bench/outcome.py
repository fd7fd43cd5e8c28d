"""What the process of a cell hands back: the part of a record that it alone knows."""

from __future__ import annotations

import re
from typing import Any

import torch
from pydantic import Field

from zoo.bench.record import (
    CurvePoint,
    Distribution,
    Memory,
    OutputsFile,
    Performance,
    Quality,
    Sample,
    Status,
    Throughput,
    _Part,
)
from zoo.errors import InputError, ZooError
from zoo.measure import Evaluation, Measured
from zoo.measure import Performance as Measurements


class Outcome(_Part):
    """How one attempt ended, and everything found out on the way."""

    status: Status
    error: str | None = None
    parameters: int | None = None
    steps: int | None = None
    training_seconds: float | None = None
    quality: list[Quality] = Field(default_factory=list)
    performance: list[Performance] = Field(default_factory=list)
    probes: dict[str, float] = Field(default_factory=dict)
    curve: list[CurvePoint] = Field(default_factory=list)
    samples: list[Sample] = Field(default_factory=list)
    outputs: OutputsFile | None = Field(default=None, description="The file as it lies in the work folder")
    environment: dict[str, Any] = Field(default_factory=dict)


_OUT_OF_MEMORY = re.compile(r"out of memory|can't allocate memory|cannot allocate memory", re.IGNORECASE)
_DEVICE_FAULT = re.compile(r"CUDA error|cuDNN error|NCCL error|ECC error", re.IGNORECASE)


def status_of(error: BaseException) -> Status:
    """What an exception says of the cell: its own fault is a result, the machine's is not.

    Memory errors are 'oom'. A user's mistake and any error in a component's code are 'invalid': they come again however
    often the cell is run. Failures of files, network and devices are 'infra'.
    """
    text = str(error)
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)) or _OUT_OF_MEMORY.search(text):
        return "oom"
    if isinstance(error, InputError):
        return "invalid"
    if isinstance(error, (ZooError, OSError)) or _DEVICE_FAULT.search(text):
        return "infra"
    return "invalid"


def one_line(error: BaseException) -> str:
    """The error as one line for a record."""
    text = re.sub(r"\s+", " ", str(error)).strip()
    if isinstance(error, ZooError):
        return text[:2000]
    return f"{type(error).__name__}: {text}"[:2000]


def quality_of(evaluation: Evaluation) -> list[Quality]:
    """The scores as a record holds them."""
    return [
        Quality(
            metric=score.metric,
            value=score.value,
            direction=score.direction,
            unit=score.unit,
            signature=score.signature,
            split=evaluation.split,
            examples=evaluation.examples,
            interval=score.interval,
        )
        for score in evaluation.quality
    ]


def samples_of(evaluation: Evaluation) -> list[Sample]:
    """The shown examples as a record holds them."""
    return [Sample(id=s.id, source=s.source, reference=s.reference, output=s.output) for s in evaluation.samples]


def distribution_of(measured: Measured) -> Distribution:
    """Samples as a record holds them."""
    return Distribution(
        unit=measured.unit,
        samples=len(measured.values),
        median=measured.median,
        minimum=measured.minimum,
        maximum=measured.maximum,
        p90=measured.p90,
        p99=measured.p99,
        values=list(measured.values),
    )


def performance_of(measured: Measurements, training_tokens_per_second: float | None) -> Performance:
    """Measurements of one device as a record holds them."""
    return Performance(
        device=measured.device,
        device_kind=measured.device_kind,
        threads=measured.threads,
        dtype=measured.dtype,
        attention=measured.attention,
        latency=distribution_of(measured.latency),
        throughput=[Throughput(batch=measured.throughput_batch, tokens_per_second=measured.tokens_per_second)],
        memory=Memory(**vars(measured.memory)) if measured.memory else None,
        training_tokens_per_second=training_tokens_per_second,
    )
