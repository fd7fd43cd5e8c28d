"""The device that a measurement runs on, and waiting for it."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Literal

import torch

DeviceKind = Literal["cpu", "cuda"]


def cpu_model() -> str:
    """The CPU's name as the kernel gives it, else the architecture."""
    try:
        text = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return platform.processor() or platform.machine()
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip().lower() in {"model name", "hardware", "cpu model"} and value.strip():
            return value.strip()
    return platform.processor() or platform.machine()


def device_kind(device: torch.device) -> DeviceKind:
    """'cpu' or 'cuda'. Raises ValueError for a device that no instrument here can time."""
    if device.type == "cpu":
        return "cpu"
    if device.type == "cuda":
        return "cuda"
    raise ValueError(f"device '{device}': expected a CPU or a CUDA device")


def device_name(device: torch.device) -> str:
    """'cpu' or the name of the GPU."""
    return "cpu" if device_kind(device) == "cpu" else torch.cuda.get_device_name(device)


def default_device() -> torch.device:
    """The first GPU where there is one, else the CPU."""
    return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")


def synchronize(device: torch.device) -> None:
    """Wait until everything queued on the device is done; on the CPU nothing is queued."""
    if device_kind(device) == "cuda":
        torch.cuda.synchronize(device)


def hardware_class(threads: int | None = None, gpu: int = 0) -> str:
    """What two machines must share for their timings to be compared: the GPU of that number, or CPU and threads.

    Such as ``cpu: AMD EPYC 7763 (2 threads)`` or ``cuda: NVIDIA H100 80GB HBM3``. `threads` are this process's unless
    given.
    """
    if torch.cuda.is_available():
        return f"cuda: {device_name(torch.device('cuda', gpu))}"
    return cpu_class(threads or torch.get_num_threads())


def cpu_class(threads: int) -> str:
    """The hardware class of what computes on the CPU, whether there is a GPU or not."""
    return f"cpu: {cpu_model()} ({threads} threads)"
