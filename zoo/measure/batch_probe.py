"""``python -m zoo.measure.batch_probe``: memory, then rates by batch size, in a fresh process (`zoo.measure.probe`).

A process of its own, because a peak never falls: whatever was done before would be counted. And because a batch that is
too large for the machine may cost the process its life: each answer is given as soon as it is known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import torch

from zoo.measure.batches import batch_of
from zoo.measure.device import device_kind, synchronize
from zoo.measure.energy import energy_counter, generation_energy
from zoo.measure.generation import generate_batch
from zoo.measure.gpu import memory_used
from zoo.measure.loading import Loaded, load
from zoo.measure.memory import MemoryReading, peak_resident_bytes, resident_bytes
from zoo.measure.oom import free_memory, is_out_of_memory
from zoo.measure.probe import ProbeRequest, serve
from zoo.measure.throughput import rates
from zoo.models.modes import evaluating


def probe(request: ProbeRequest) -> Iterator[dict[str, Any]]:
    """``{"memory": ...}`` where the smallest batch fits, ``{"rate": ...}`` for each size, ``{"energy": ...}`` where the
    GPU counts it."""
    loaded, memory = _loaded_and_weighed(request)
    if memory is not None:
        yield {"memory": asdict(memory)}
    largest = None
    for rate in rates(
        loaded.model,
        loaded.tokenizers,
        request.sources(),
        request.decoding,
        batches=request.measurement.throughput_batches,
        max_source_tokens=loaded.max_source_tokens(request.decoding),
    ):
        largest = rate.batch if rate.status == "ok" else largest
        yield {"rate": asdict(rate)}
    counter = energy_counter(request.gpu)
    if counter is not None and largest is not None:
        batch = largest
        yield {"energy": asdict(generation_energy(lambda: _generate(loaded, request, batch), counter))}


def _loaded_and_weighed(request: ProbeRequest) -> tuple[Loaded, MemoryReading | None]:
    """The model, and what this process needs to load it and generate the smallest batch; None where that is too much.

    True only in a process that did nothing before.
    """
    device = torch.device(request.device)
    cuda = device_kind(device) == "cuda"
    # Asked before CUDA is begun, so that its context counts.
    used_before = memory_used(request.gpu) if cuda else None
    before = torch.cuda.memory_allocated(device) if cuda else resident_bytes()
    loaded = load(request)
    synchronize(device)
    after = torch.cuda.memory_allocated(device) if cuda else resident_bytes()
    if cuda:
        # A load may hold weights twice; what is asked for is the peak of generation, in which they are live once.
        torch.cuda.reset_peak_memory_stats(device)
    batch = min(request.measurement.throughput_batches)
    try:
        _generate(loaded, request, batch)
        full = False
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        full = True
    if full:
        free_memory()
        return loaded, None
    synchronize(device)
    if not cuda:
        return loaded, MemoryReading("rss", peak_resident_bytes(), before, after, batch=batch)
    used = memory_used(request.gpu)
    return loaded, MemoryReading(
        "cuda-allocated",
        torch.cuda.max_memory_allocated(device),
        before,
        after,
        reserved=torch.cuda.max_memory_reserved(device),
        device=None if used is None or used_before is None else used - used_before,
        batch=batch,
    )


def _generate(loaded: Loaded, request: ProbeRequest, batch: int) -> int:
    """Generate one batch and return its tokens."""
    texts = batch_of(request.sources(), batch)
    with evaluating(loaded.model):
        return generate_batch(
            loaded.model,
            loaded.tokenizers,
            texts,
            request.decoding,
            max_source_tokens=loaded.max_source_tokens(request.decoding),
        ).tokens


if __name__ == "__main__":
    serve(probe)
