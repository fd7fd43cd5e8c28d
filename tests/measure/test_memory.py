from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from zoo.measure import memory

MEGABYTE = 2**20

# For each size: allocate, write every page (else none is resident), free, and say the peak.
# The module by itself: the package would import torch.
PROBE = """
import sys
from importlib.util import module_from_spec, spec_from_file_location
spec = spec_from_file_location("zoo.measure.memory", sys.argv[1])
memory = sys.modules[spec.name] = module_from_spec(spec)
spec.loader.exec_module(memory)
for size in sys.argv[2:]:
    block = bytearray(int(size))
    block[::4096] = b"x" * len(block[::4096])
    del block
    print(memory.peak_resident_bytes())
"""


def peaks_after(*sizes: int) -> list[int]:
    command = [sys.executable, "-c", PROBE, memory.__file__, *map(str, sizes)]
    return [int(line) for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()]


def test_a_known_allocation_is_measured_within_one_percent() -> None:
    """200 MB more, twice: by the peak of a fresh process, after the block is freed again."""
    first, second, third, fourth = peaks_after(200 * MEGABYTE, 400 * MEGABYTE, 600 * MEGABYTE, 100 * MEGABYTE)
    assert second - first == pytest.approx(200 * MEGABYTE, rel=0.01)
    assert third - second == pytest.approx(200 * MEGABYTE, rel=0.01)
    assert fourth == third


@pytest.mark.slow
def test_the_peak_is_the_processs_own_and_not_that_of_the_process_that_started_it() -> None:
    (alone,) = peaks_after(1)
    block = bytearray(2 * alone)
    block[::4096] = b"x" * len(block[::4096])
    # A child takes its parent's peak along in getrusage.
    (beside_a_large_parent,) = peaks_after(1)
    assert beside_a_large_parent == pytest.approx(alone, rel=0.1)
    del block


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_cuda_tensor_of_known_size_shows_in_the_allocated_peak() -> None:
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.max_memory_allocated()
    block = torch.empty(64 * MEGABYTE, dtype=torch.uint8, device="cuda")
    del block
    assert torch.cuda.max_memory_allocated() - before == pytest.approx(64 * MEGABYTE, rel=0.01)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_cuda_tensor_of_known_size_shows_in_what_the_whole_gpu_uses() -> None:
    from zoo.measure.gpu import gpu_uuid, memory_used

    uuid = gpu_uuid(torch.device("cuda", 0))
    # The context and the kernel's code take memory of their own, once.
    torch.zeros(1, dtype=torch.uint8, device="cuda")
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    before = memory_used(uuid)
    if before is None:
        pytest.skip("neither NVML nor nvidia-smi")
    block = torch.zeros(1024 * MEGABYTE, dtype=torch.uint8, device="cuda")
    torch.cuda.synchronize()
    assert (memory_used(uuid) or 0) - before == pytest.approx(1024 * MEGABYTE, rel=0.01)
    del block
