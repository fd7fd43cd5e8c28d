"""What the process of a cell hands back: the part of a record that it alone knows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from pydantic import Field

from zoo.bench.record import (
    Calibration,
    CurvePoint,
    Distribution,
    Energy,
    ExportPart,
    Memory,
    OutputsFile,
    Performance,
    ProbeSeries,
    Quality,
    Sample,
    Status,
    Throughput,
    TrainingMemory,
    _Part,
)
from zoo.errors import InputError, ZooError
from zoo.export.contracts import UnfitError
from zoo.export.folder import Export, runtime_versions
from zoo.measure.device import device_kind, device_name
from zoo.measure.distribution import Measured
from zoo.measure.oom import is_out_of_memory
from zoo.measure.performance import Performance as Measurements
from zoo.training import TrainingOutcome

if TYPE_CHECKING:
    from zoo.measure.evaluate import Evaluation


class Outcome(_Part):
    """How one attempt ended, and everything found out on the way."""

    status: Status
    error: str | None = None
    parameters: int | None = None
    steps: int | None = None
    training_seconds: float | None = None
    training_tokens: int | None = None
    quality: list[Quality] = Field(default_factory=list)
    performance: list[Performance] = Field(default_factory=list)
    probes: dict[str, float] = Field(default_factory=dict)
    probe_series: dict[str, ProbeSeries] = Field(default_factory=dict)
    curve: list[CurvePoint] = Field(default_factory=list)
    samples: list[Sample] = Field(default_factory=list)
    outputs: OutputsFile | None = Field(default=None, description="The file as it lies in the work folder")
    environment: dict[str, Any] = Field(default_factory=dict)
    export: ExportPart | None = None


_TOLD = (
    "stopped_early",
    "best",
    "loss_spikes",
    "collapsed",
    "oom_batch",
    "nan_batches",
    "clipping",
    "update_clipping",
    "token_bands",
    "averaging",
    "examples_past_their_frames",
)
_DEVICE_FAULT = re.compile(r"CUDA error|cuDNN error|NCCL error|ECC error", re.IGNORECASE)


def status_of(error: BaseException) -> Status:
    """What an exception says of the cell: its own fault is a result, the machine's is not.

    Memory errors are 'oom'. A user's mistake, an export that is not what its model is, and any error in a component's
    code are 'invalid': they come again however often the cell is run. Failures of files, network and devices are
    'infra'.
    """
    text = str(error)
    if is_out_of_memory(error):
        return "oom"
    if isinstance(error, (InputError, UnfitError)):
        return "invalid"
    if isinstance(error, (ZooError, OSError)) or _DEVICE_FAULT.search(text):
        return "infra"
    return "invalid"


def one_line(error: BaseException) -> str:
    """The error as one line for a record: of an export what is to be said of it, and not of its folder."""
    text = re.sub(r"\s+", " ", error.reason if isinstance(error, UnfitError) else str(error)).strip()
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


def series_of(evaluation: Evaluation) -> dict[str, ProbeSeries]:
    """What the probes found along an axis, as a record holds it."""
    return {
        name: ProbeSeries(
            axis=found.axis,
            unit=found.unit,
            x=list(found.x),
            lines={line: list(values) for line, values in found.lines.items()},
        )
        for name, found in evaluation.probe_series.items()
    }


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
        processes=list(measured.processes),
        warmup=list(measured.warmup),
        values=list(measured.values),
    )


def performance_of(
    measured: Measurements, training: Mapping[str, Any] = MappingProxyType({}), *, disk_bytes: int | None = None
) -> Performance:
    """Measurements of one device as a record holds them, with what `training_costs` says of training on it."""
    clocks = measured.clocks
    return Performance(
        device=measured.device,
        device_kind=measured.device_kind,
        threads=measured.threads,
        dtype=clocks.dtype,
        attention=clocks.attention,
        latency=distribution_of(clocks.latency),
        device_time=distribution_of(clocks.device_time) if clocks.device_time else None,
        encode=distribution_of(clocks.encode) if clocks.encode else None,
        decode_per_token=distribution_of(clocks.decode_per_token) if clocks.decode_per_token else None,
        throughput=[Throughput(**vars(rate)) for rate in measured.throughput],
        memory=Memory(**vars(measured.memory)) if measured.memory else None,
        energy=Energy(**vars(measured.energy)) if measured.energy else None,
        calibration=Calibration(**vars(measured.calibration)),
        disk_bytes=disk_bytes,
        **training,
    )


def performance_of_training(training: TrainingOutcome, attention: str, device: torch.device) -> Performance:
    """What training found out about its device, where nothing is timed after it."""
    return Performance(
        device=device_name(device),
        device_kind=device_kind(device),
        threads=torch.get_num_threads(),
        dtype=training.facts["precision"],
        attention=attention,
        **training_costs(training),
    )


def training_costs(training: TrainingOutcome) -> dict[str, Any]:
    """Speed, memory and optimizer state of a run, by their names in a record's performance."""
    return {
        "training_tokens_per_second": training.tokens_per_second,
        "training_steps_per_second": training.steps_per_second,
        "training_memory": None if training.memory is None else TrainingMemory(**training.memory),
        "optimizer_state_bytes": training.facts.get("optimizer_state_bytes"),
    }


def size_of_weights(directory: Path) -> int:
    """Bytes of the weights in a folder that `save_pretrained` wrote."""
    return sum(path.stat().st_size for path in directory.glob("*.safetensors"))


def export_part(export: Export) -> ExportPart:
    """What ran, as a record holds it."""
    return ExportPart(
        exporter=export.kind,
        weights=export.weights,
        runtime=runtime_versions(export),
        made_with=export.made_with,
        parity=None if export.parity is None else export.parity.model_dump(),
    )


def machine_facts(measured: Measurements) -> dict[str, Any]:
    """The machine's state around the measurements as a record's environment holds it: `cpu_state`, `gpu_state`."""
    return {f"{name}_state": states for name, states in measured.machine.items()}


def training_facts(training: TrainingOutcome) -> dict[str, Any]:
    """What is to be known of a run beside its curve, as a record's environment holds it: `training`, if anything.

    Micro-batches are told without the numbers of their examples, which stand in the run's own file.
    """
    found = {name: training.facts[name] for name in _TOLD if name in training.facts}
    if "oom_batch" in found:
        found["oom_batch"] = _without_examples(found["oom_batch"])
    if "nan_batches" in found:
        found["nan_batches"] = [_without_examples(batch) for batch in found["nan_batches"]]
    return {"training": found} if found else {}


def _without_examples(batch: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in batch.items() if name != "examples"}
