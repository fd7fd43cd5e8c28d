"""The state of the GPU: clocks, throttling, temperature, power, who else is on it. By NVML, else by nvidia-smi."""

from __future__ import annotations

import csv
import importlib
import os
import shutil
import subprocess
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch

THROTTLE_REASONS = {
    0x1: "idle",
    0x2: "application clocks",
    0x4: "software power cap",
    0x8: "hardware slowdown",
    0x10: "sync boost",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "hardware power brake",
    0x100: "display clocks",
    0x200: "board limit",
    0x400: "reliability limit",
}
"""Bits of NVML's clocksEventReasons (formerly clocksThrottleReasons)."""

_SMI_NUMBERS = {
    "clock_sm_mhz": "clocks.sm",
    "clock_memory_mhz": "clocks.mem",
    "clock_sm_max_mhz": "clocks.max.sm",
    "temperature_c": "temperature.gpu",
    "power_w": "power.draw",
    "power_limit_w": "power.limit",
    "utilization_percent": "utilization.gpu",
}
_SMI_TEXT = ("uuid", "name", "driver_version", "memory.used", "memory.total", "clocks_throttle_reasons.active")
_MEBIBYTE = 2**20


@lru_cache(maxsize=1)
def nvml() -> Any | None:
    """The initialised module of nvidia-ml-py; None where it or the driver's library is absent."""
    try:
        library = importlib.import_module("pynvml")
    except ImportError:
        return None
    try:
        library.nvmlInit()
    except library.NVMLError:
        return None
    return library


def gpu_uuid(device: torch.device) -> str | None:
    """The UUID of a CUDA device as NVML and nvidia-smi write it; None for the CPU."""
    if device.type != "cuda":
        return None
    uuid = getattr(torch.cuda.get_device_properties(device), "uuid", None)
    return None if uuid is None else f"GPU-{str(uuid).removeprefix('GPU-')}"


def gpu_state(uuid: str | None) -> dict[str, Any] | None:
    """The GPU with that UUID at this moment, JSON-ready; None without one or without a way to ask it.

    A quantity that the GPU does not tell is left out. `throttled_by` is empty where nothing holds the clocks down.
    `other_processes` are those that compute on it beside this one: a container may hide them.
    """
    if uuid is None:
        return None
    library = nvml()
    if library is not None:
        return _state_by_nvml(library, uuid)
    table = _smi("gpu", (*_SMI_TEXT, *_SMI_NUMBERS.values()))
    processes = _smi("compute-apps", ("gpu_uuid", "pid", "process_name", "used_memory"))
    return None if table is None else state_from_smi(uuid, table, processes or [])


def memory_used(uuid: str | None) -> int | None:
    """Bytes in use on the GPU with that UUID, by whomever; None without a way to ask."""
    state = gpu_state(uuid)
    return None if state is None else state.get("memory_used_bytes")


def throttle_reasons(mask: int) -> list[str]:
    """The names of the bits that are set, in the order of the bits."""
    known = [name for bit, name in THROTTLE_REASONS.items() if mask & bit]
    unknown = mask & ~sum(THROTTLE_REASONS)
    return [*known, *([f"unknown {unknown:#x}"] if unknown else [])]


def _state_by_nvml(library: Any, uuid: str) -> dict[str, Any] | None:
    def asked(question: Callable[[], Any]) -> Any:
        try:
            return question()
        except library.NVMLError:
            return None

    gpu = asked(lambda: library.nvmlDeviceGetHandleByUUID(uuid))
    if gpu is None:
        return None
    memory = asked(lambda: library.nvmlDeviceGetMemoryInfo(gpu))
    utilization = asked(lambda: library.nvmlDeviceGetUtilizationRates(gpu))
    mask = asked(lambda: library.nvmlDeviceGetCurrentClocksThrottleReasons(gpu))
    processes = asked(lambda: library.nvmlDeviceGetComputeRunningProcesses(gpu))
    watts = asked(lambda: library.nvmlDeviceGetPowerUsage(gpu))
    limit = asked(lambda: library.nvmlDeviceGetEnforcedPowerLimit(gpu))
    state = {
        "source": "NVML",
        "uuid": uuid,
        "name": asked(lambda: library.nvmlDeviceGetName(gpu)),
        "driver_version": asked(library.nvmlSystemGetDriverVersion),
        "clock_sm_mhz": asked(lambda: library.nvmlDeviceGetClockInfo(gpu, library.NVML_CLOCK_SM)),
        "clock_memory_mhz": asked(lambda: library.nvmlDeviceGetClockInfo(gpu, library.NVML_CLOCK_MEM)),
        "clock_sm_max_mhz": asked(lambda: library.nvmlDeviceGetMaxClockInfo(gpu, library.NVML_CLOCK_SM)),
        "temperature_c": asked(lambda: library.nvmlDeviceGetTemperature(gpu, library.NVML_TEMPERATURE_GPU)),
        "power_w": None if watts is None else watts / 1000,
        "power_limit_w": None if limit is None else limit / 1000,
        "utilization_percent": None if utilization is None else utilization.gpu,
        "memory_used_bytes": None if memory is None else memory.used,
        "memory_total_bytes": None if memory is None else memory.total,
        "throttled_by": None if mask is None else throttle_reasons(mask),
        "other_processes": None
        if processes is None
        else [
            {"pid": process.pid, "memory_bytes": process.usedGpuMemory}
            for process in processes
            if process.pid != os.getpid()
        ],
    }
    return {name: value for name, value in state.items() if value is not None}


def state_from_smi(uuid: str, table: list[list[str]], processes: list[list[str]]) -> dict[str, Any] | None:
    """The state of one GPU from nvidia-smi's two tables (``nounits``); None where the GPU is not in the first."""
    rows = [row for row in table if row[:1] == [uuid]]
    if not rows:
        return None
    texts = dict(zip(_SMI_TEXT, rows[0], strict=False))
    numbers = dict(zip(_SMI_NUMBERS, (_number(cell) for cell in rows[0][len(_SMI_TEXT) :]), strict=False))
    used, total = _number(texts.get("memory.used", "")), _number(texts.get("memory.total", ""))
    mask = texts.get("clocks_throttle_reasons.active", "")
    state = {
        "source": "nvidia-smi",
        "uuid": uuid,
        "name": texts.get("name"),
        "driver_version": texts.get("driver_version"),
        **numbers,
        "memory_used_bytes": None if used is None else int(used) * _MEBIBYTE,
        "memory_total_bytes": None if total is None else int(total) * _MEBIBYTE,
        "throttled_by": throttle_reasons(int(mask, 16)) if mask.startswith("0x") else None,
        "other_processes": [_process(row) for row in processes if len(row) == 4 and _is_other(row, uuid)],
    }
    return {name: value for name, value in state.items() if value is not None}


def _is_other(row: list[str], uuid: str) -> bool:
    return row[0] == uuid and row[1].isdigit() and int(row[1]) != os.getpid()


def _process(row: list[str]) -> dict[str, Any]:
    used = _number(row[3])
    # A program's folder may name its owner.
    name = os.path.basename(row[2])
    return {"pid": int(row[1]), "name": name, "memory_bytes": None if used is None else int(used) * _MEBIBYTE}


def _number(text: str) -> float | None:
    """A number, or None for what nvidia-smi writes where it has none ('[N/A]')."""
    try:
        return float(text)
    except ValueError:
        return None


def _smi(query: str, fields: tuple[str, ...]) -> list[list[str]] | None:
    if shutil.which("nvidia-smi") is None:
        return None
    command = ["nvidia-smi", f"--query-{query}={','.join(fields)}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode != 0:
        return None
    return [[cell.strip() for cell in row] for row in csv.reader(done.stdout.splitlines()) if row]
