"""Peak memory of generation, taken in a fresh process of its own (`zoo.measure.memory_probe`)."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil
import torch

from zoo.errors import ZooError
from zoo.spec.sections import DecodingSection

MemoryKind = Literal["rss", "cuda-allocated"]


@dataclass(frozen=True)
class MemoryReading:
    """What one probe counted, in bytes.

    kind 'rss': `peak` is the largest resident set of the whole process since its start: interpreter, libraries,
    weights and generation (pages of libraries that other processes share count too). `before_load` is the resident set
    after the imports, `after_load` once the weights are in.

    kind 'cuda-allocated': `peak` is the largest sum of live tensors on the device while generating, weights included;
    `reserved` is what PyTorch's allocator held for it. Neither counts the CUDA context or memory outside PyTorch.
    """

    kind: MemoryKind
    peak: int
    before_load: int
    after_load: int
    reserved: int | None = None


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


def resident_bytes() -> int:
    """The resident set of this process now, in bytes."""
    return int(psutil.Process().memory_info().rss)


def probe_memory(
    directory: Path,
    sentences: Sequence[str],
    decoding: DecodingSection,
    *,
    batch: int,
    device: torch.device,
    timeout: float = 600.0,
) -> MemoryReading:
    """Generate once for each sentence, `batch` at a time, in a new process, and read its peak.

    Raises ZooError where the process fails or takes longer than `timeout` seconds.
    """
    command = [
        sys.executable,
        "-m",
        "zoo.measure.memory_probe",
        str(directory),
        f"--beams={decoding.beams}",
        f"--max-new-tokens={decoding.max_new_tokens}",
        f"--length-penalty={decoding.length_penalty}",
        f"--batch-size={batch}",
        f"--device={device}",
        f"--threads={torch.get_num_threads()}",
    ]
    lines = "\n".join(" ".join(sentence.split()) for sentence in sentences)
    try:
        done = subprocess.run(
            command, input=lines, capture_output=True, text=True, encoding="utf-8", timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        raise ZooError(f"the memory probe of {directory} took longer than {timeout:.0f} s") from None
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ZooError(f"the memory probe of {directory} failed with status {done.returncode}: {last}")
    reading = json.loads(done.stdout.strip().splitlines()[-1])
    return MemoryReading(**reading)
