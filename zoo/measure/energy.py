"""Energy of generation, experimental: the counter that the GPU keeps of itself (NVML).

The counter knows the whole board: whatever else runs on it is in the figure, and so is what it takes when idle. It
moves in steps of some tens of milliseconds, so that a run must be long against them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from zoo.measure.gpu import nvml

AT_LEAST = 3.0
"""Seconds: a hundred steps of the counter."""
SOURCE = "NVML total energy consumption"


@dataclass(frozen=True)
class EnergyReading:
    """Energy over `seconds` in which `tokens` were generated."""

    joules: float
    seconds: float
    tokens: int
    source: str


def energy_counter(gpu: str | None) -> Callable[[], float] | None:
    """A function that reads the joules the GPU with that UUID has used since its driver was loaded.

    None without a GPU, without nvidia-ml-py (the extra ``gpu``), and for a GPU that does not count.
    """
    library = nvml() if gpu else None
    if library is None:
        return None
    try:
        handle = library.nvmlDeviceGetHandleByUUID(gpu)
        library.nvmlDeviceGetTotalEnergyConsumption(handle)
    except library.NVMLError:
        return None
    return lambda: library.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000.0


def generation_energy(
    generate: Callable[[], int],
    counter: Callable[[], float],
    *,
    at_least: float = AT_LEAST,
    clock: Callable[[], float] = time.perf_counter,
) -> EnergyReading:
    """Call `generate`, which returns how many tokens it made, for `at_least` seconds; read the counter around it."""
    tokens = 0
    joules, start = counter(), clock()
    while (seconds := clock() - start) < at_least:
        tokens += generate()
    return EnergyReading(max(0.0, counter() - joules), seconds, tokens, SOURCE)
