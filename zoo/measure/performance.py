"""All clocks and scales on one model and one device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from zoo.measure.device import DeviceKind, device_kind, device_name
from zoo.measure.distribution import Measured
from zoo.measure.generation import evaluating, generate_batch
from zoo.measure.latency import timed_calls
from zoo.measure.memory import MemoryReading, probe_memory
from zoo.measure.throughput import tokens_per_second
from zoo.spec.sections import Spec


@dataclass(frozen=True)
class Performance:
    """What was measured, always with the device it was measured on."""

    device: str
    """'cpu' or the name of the GPU."""
    device_kind: DeviceKind
    threads: int
    dtype: str
    attention: str
    latency: Measured
    """Text in, text out, one sentence at a time: seconds."""
    tokens_per_second: float
    throughput_batch: int
    memory: MemoryReading | None


def measure_performance(
    model: Any, tokenizer: Any, sentences: Sequence[str], spec: Spec, *, directory: Path | None = None
) -> Performance:
    """Latency, throughput and (where `directory` holds the same model) peak memory, as `spec.measurement` says.

    Decodes as `spec.decoding` says, on the device the model is on. Raises ValueError without sentences.
    """
    limit = spec.model.max_positions
    device: torch.device = model.device

    def translate(sentence: str) -> object:
        return generate_batch(model, tokenizer, [sentence], spec.decoding, max_source_tokens=limit)

    with evaluating(model):
        latency = timed_calls(
            translate,
            sentences,
            samples=spec.measurement.latency_samples,
            warmup=spec.measurement.warmup,
            device=device,
        )
    batch = spec.measurement.throughput_batches[0]
    rate = tokens_per_second(model, tokenizer, sentences, spec.decoding, batch=batch, max_source_tokens=limit)
    memory = None
    if directory is not None:
        memory = probe_memory(directory, sentences[:batch], spec.decoding, batch=batch, device=device)
    return Performance(
        device=device_name(device),
        device_kind=device_kind(device),
        threads=torch.get_num_threads(),
        dtype=str(model.dtype).removeprefix("torch."),
        attention=str(model.attention_backend),
        latency=latency,
        tokens_per_second=rate,
        throughput_batch=batch,
        memory=memory,
    )
