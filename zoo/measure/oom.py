"""Lack of memory: knowing it, and clearing up after it."""

from __future__ import annotations

import gc
import re
from pathlib import Path

import torch

_TEXT = re.compile(
    r"out of memory|can't allocate memory|cannot allocate memory|DefaultCPUAllocator|not enough memory|"
    r"CUBLAS_STATUS_ALLOC_FAILED|failed to allocate memory|bad_alloc",
    re.IGNORECASE,
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that memory did not suffice.

    The text decides too: torch's CPU allocator, CUDA's libraries and onnxruntime raise errors of no kind of their own,
    and what a fresh process failed of comes as the last line that it wrote.
    """
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or bool(_TEXT.search(str(error)))


def free_memory() -> None:
    """Give back what nobody holds any more. Not inside `except`: the exception holds the tensors of its frames."""
    gc.collect()
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()


def kernel_oom_kills() -> int:
    """How often the kernel has killed in this container for memory; 0 where it does not say."""
    try:
        lines = Path("/sys/fs/cgroup/memory.events").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
