"""All clocks and scales on one model and one device, each in fresh processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from zoo.errors import InputError
from zoo.measure.calibration import CalibrationKernel, CalibrationReading
from zoo.measure.device import DeviceKind, default_device, device_kind, device_name
from zoo.measure.distribution import Measured, pooled
from zoo.measure.energy import EnergyReading
from zoo.measure.environment import machine_state
from zoo.measure.gpu import gpu_uuid
from zoo.measure.memory import MemoryReading
from zoo.measure.probe import ProbeKilledError, ProbeRequest, run_probe
from zoo.measure.throughput import Rate
from zoo.spec.sections import Spec
from zoo.tasks.contracts import Progress, silent

CLOCKS = ("latency", "device_time", "encode", "decode_per_token")
"""What every latency process measures, in seconds."""
STAGE = "measure"


@dataclass(frozen=True)
class Clocks:
    """What one latency process, or several, measured; `device_time` is None on a CPU."""

    dtype: str
    attention: str
    latency: Measured
    device_time: Measured | None
    encode: Measured
    decode_per_token: Measured


@dataclass(frozen=True)
class Performance:
    """What was measured, always with the device it was measured on."""

    device: str
    """'cpu' or the name of the GPU."""
    device_kind: DeviceKind
    threads: int
    clocks: Clocks
    throughput: tuple[Rate, ...]
    memory: MemoryReading | None
    """None where the memory does not hold the batch."""
    energy: EnergyReading | None
    calibration: CalibrationReading
    machine: dict[str, Any]
    """State of the machine: for 'cpu' and 'gpu' what it was `before` and `after`, JSON-ready."""


def probe_request(
    directory: Path, sentences: Sequence[str], spec: Spec, *, device: torch.device | None = None
) -> ProbeRequest:
    """What a probe is asked about the model in `directory`, on `device` (the first GPU, else the CPU).

    Raises InputError without a sentence.
    """
    device = device or default_device()
    texts = [sentence for sentence in sentences if sentence.strip()]
    if not texts:
        raise InputError("expected at least one sentence to measure with, found none")
    return ProbeRequest(
        directory=directory,
        sentences=texts,
        decoding=spec.decoding,
        measurement=spec.measurement,
        device=str(device),
        threads=torch.get_num_threads(),
        gpu=gpu_uuid(device),
    )


def measure_clocks(request: ProbeRequest) -> Clocks:
    """What one fresh process measures. Raises ZooError where it fails."""
    (answer,) = run_probe("latency_probe", request)
    found = {
        name: None if answer[name] is None else Measured(tuple(answer[name]), "s", warmup=(answer["warmup"],))
        for name in CLOCKS
    }
    return Clocks(answer["dtype"], answer["attention"], **found)  # type: ignore[arg-type]


def pooled_clocks(parts: Sequence[Clocks]) -> Clocks:
    """Several processes' clocks as one: medians are those of the processes' medians."""
    found: dict[str, Any] = {}
    for name in CLOCKS:
        measured = [getattr(part, name) for part in parts]
        found[name] = None if None in measured else pooled(measured)
    return Clocks(parts[0].dtype, parts[0].attention, **found)


@dataclass(frozen=True)
class Capacity:
    """What the batch process measured: memory is None where the smallest batch does not fit, energy where none counts
    it."""

    memory: MemoryReading | None
    rates: tuple[Rate, ...]
    energy: EnergyReading | None


def measure_capacity(request: ProbeRequest) -> Capacity:
    """Memory, rates by batch size and energy, by one fresh process.

    A process that the kernel kills for memory leaves the size it was at as 'oom' and the larger ones 'untried'. Raises
    ZooError where it fails otherwise.
    """
    killed = False
    try:
        answers = run_probe("batch_probe", request)
    except ProbeKilledError as error:
        if not error.out_of_memory:
            raise
        answers, killed = error.answers, True
    found = {name: [answer[name] for answer in answers if name in answer] for name in ("memory", "rate", "energy")}
    rates = [Rate(**rate) for rate in found["rate"]]
    if killed:
        left = sorted({*request.measurement.throughput_batches} - {rate.batch for rate in rates})
        rates += [Rate(batch, "untried" if number else "oom") for number, batch in enumerate(left)]
    return Capacity(
        memory=MemoryReading(**found["memory"][0]) if found["memory"] else None,
        rates=tuple(rates),
        energy=EnergyReading(**found["energy"][0]) if found["energy"] else None,
    )


def measure_performance(
    directory: Path,
    sentences: Sequence[str],
    spec: Spec,
    *,
    device: torch.device | None = None,
    progress: Progress = silent,
) -> Performance:
    """Everything that `spec.measurement` asks for of the model in `directory`, decoding as `spec.decoding` says.

    `spec.measurement.processes` fresh processes take the clocks, one more memory and throughput; a kernel that never
    changes is timed before and after. Raises InputError without sentences, ZooError where a process fails.
    """
    device = device or default_device()
    request = probe_request(directory, sentences, spec, device=device)
    processes = spec.measurement.processes
    kernel, before = CalibrationKernel(device), machine_state(request.gpu)
    calibrated = kernel.seconds()
    clocks = []
    for number in range(processes):
        progress(STAGE, number, processes + 1)
        clocks.append(measure_clocks(request))
    progress(STAGE, processes, processes + 1)
    capacity = measure_capacity(request)
    progress(STAGE, processes + 1, processes + 1)
    calibration = CalibrationReading(kernel.name, calibrated, kernel.seconds())
    after = machine_state(request.gpu)
    return Performance(
        device=device_name(device),
        device_kind=device_kind(device),
        threads=request.threads,
        clocks=pooled_clocks(clocks),
        throughput=capacity.rates,
        memory=capacity.memory,
        energy=capacity.energy,
        calibration=calibration,
        machine={name: {"before": state, "after": after[name]} for name, state in before.items() if name in after},
    )
