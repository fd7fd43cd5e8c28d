"""Peak memory of a process that loads a model and generates. The process is `zoo.measure.batch_probe`."""

from __future__ import annotations

import ctypes
import gc
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

MemoryKind = Literal["rss", "cuda-allocated"]


@dataclass(frozen=True)
class MemoryReading:
    """What one probe counted, in bytes.

    kind 'rss': `peak` is the largest resident set of the whole process since its start: interpreter, libraries,
    weights and generation (pages of libraries that other processes share count too). `before_load` is the resident set
    after the imports, `after_load` once the weights are in.

    kind 'cuda-allocated': `peak` is the largest sum of live tensors on the device while generating, weights included;
    `reserved` is what PyTorch's allocator held for it. Neither counts the CUDA context or memory outside PyTorch: these
    are in `device`, by how much the memory in use on the whole GPU grew from before CUDA was begun until after
    generation (other processes' memory counts where it changed meanwhile); None without NVML and nvidia-smi.
    """

    kind: MemoryKind
    peak: int
    before_load: int
    after_load: int
    reserved: int | None = None
    device: int | None = None
    batch: int | None = None
    """Sentences generated at once."""


def peak_resident_bytes() -> int:
    """The largest resident set of this process since it started its program, in bytes.

    Linux's VmHWM where it is known: `getrusage` hands a child the peak of the parent it was forked from.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        status = ""
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    if found:
        return int(found.group(1)) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def begin_peak() -> bool:
    """Have this process's peak begin anew at what is resident now; False where the system cannot (Linux can)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets VmHWM, and touches no page
    except OSError:
        return False
    return True


def give_back_memory() -> None:
    """Give the system what this process has freed: else the next to need memory takes that, and nothing grows."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
        if trim is not None:
            trim(0)


def resident_bytes() -> int:
    """The resident set of this process now, in bytes."""
    return int(psutil.Process().memory_info().rss)
