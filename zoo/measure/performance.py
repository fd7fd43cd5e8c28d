"""All clocks and scales on one model and one device, each in fresh processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch

from zoo.errors import InputError
from zoo.measure.batches import Rate
from zoo.measure.calibration import CalibrationKernel, CalibrationReading
from zoo.measure.device import DeviceKind, default_device, device_kind, device_name
from zoo.measure.distribution import Measured, pooled
from zoo.measure.energy import EnergyReading
from zoo.measure.environment import machine_state
from zoo.measure.gpu import gpu_uuid
from zoo.measure.interleaved import interleaved
from zoo.measure.memory import MemoryReading
from zoo.measure.probe import ProbeKilledError, ProbeRequest, Request, SentImage, as_sent, run_probe
from zoo.spec.outputs import outputs_section
from zoo.spec.sections import Spec
from zoo.tasks.contracts import Progress, silent
from zoo.tasks.images import Source

T = TypeVar("T")

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
    encode: Measured | None
    """None, as `decode_per_token`, of a model that writes no tokens: a detector's latency has no two parts."""
    decode_per_token: Measured | None

    def quantities(self) -> dict[str, Measured]:
        """By their names in CLOCKS, those that were measured."""
        found = {name: getattr(self, name) for name in CLOCKS}
        return {name: measured for name, measured in found.items() if measured is not None}


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
    directory: Path, sentences: Sequence[Source], spec: Spec, *, device: torch.device | None = None
) -> ProbeRequest:
    """What a probe is asked about the model in `directory`, on `device` (the first GPU, else the CPU).

    Raises InputError without a sentence.
    """
    device = device or default_device()
    sent = sent_sources(sentences)
    return ProbeRequest(
        directory=directory,
        sentences=sent,
        decoding=outputs_section(spec),
        measurement=spec.measurement,
        device=str(device),
        threads=torch.get_num_threads(),
        gpu=gpu_uuid(device),
    )


def sent_sources(sources: Sequence[Source]) -> list[str | tuple[str, str] | SentImage]:
    """Those that are not empty, as a request holds them. Raises InputError where there are none."""
    sent = [as_sent(source) for source in sources if not _is_empty(source)]
    if not sent:
        raise InputError("expected at least one sentence to measure with, found none")
    return sent


def _is_empty(source: Source) -> bool:
    text = source[0] if isinstance(source, tuple) else source
    return isinstance(text, str) and not text.strip()


def measure_clocks(request: Request) -> Clocks:
    """What one fresh process measures. Raises ZooError where it fails."""
    (answer,) = run_probe(request.clocks, request)
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


def measure_capacity(request: Request) -> Capacity:
    """Memory, rates by batch size and energy, by one fresh process.

    A process that the kernel kills for memory leaves the size it was at as 'oom' and the larger ones 'untried'. Raises
    ZooError where it fails otherwise.
    """
    killed = False
    try:
        answers = run_probe(request.capacity, request)
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
    sentences: Sequence[Source],
    spec: Spec,
    *,
    device: torch.device | None = None,
    progress: Progress = silent,
) -> Performance:
    """Everything that `spec.measurement` asks for of the model in `directory`, decoding as `spec.decoding` says.

    Raises InputError without sentences, ZooError where a process fails.
    """
    return measure_performances([probe_request(directory, sentences, spec, device=device)], progress=progress)[0]


def measure_performances(requests: Sequence[Request], *, progress: Progress = silent) -> list[Performance]:
    """Everything that each request asks for, on the device and with the threads of the first.

    `measurement.processes` fresh processes of each model take the clocks, interleaved (`zoo.measure.interleaved`); one
    more of each takes memory and throughput. A kernel that never changes is timed before and after all of them. Raises
    ZooError where a process fails.
    """
    first = requests[0]
    device, rounds = torch.device(first.device), first.measurement.processes
    total, done = (rounds + 1) * len(requests), 0

    def counted(measure: Callable[[Request], T], request: Request) -> T:
        nonlocal done
        progress(STAGE, done, total)
        found = measure(request)
        done += 1
        progress(STAGE, done, total)
        return found

    kernel, before = CalibrationKernel(device), machine_state(first.gpu)
    calibrated = kernel.seconds()
    clocks = interleaved([partial(counted, measure_clocks, request) for request in requests], rounds)
    capacities = [counted(measure_capacity, request) for request in requests]
    calibration = CalibrationReading(kernel.name, calibrated, kernel.seconds())
    after = machine_state(first.gpu)
    machine = {name: {"before": state, "after": after[name]} for name, state in before.items() if name in after}
    return [
        Performance(
            device=device_name(device),
            device_kind=device_kind(device),
            threads=first.threads,
            clocks=pooled_clocks(of_one),
            throughput=capacity.rates,
            memory=capacity.memory,
            energy=capacity.energy,
            calibration=calibration,
            machine=machine,
        )
        for of_one, capacity in zip(clocks, capacities, strict=True)
    ]
