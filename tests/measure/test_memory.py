from __future__ import annotations

import subprocess
import sys

import pytest
import torch

MEGABYTE = 2**20

# For each size: allocate, write every page (else none is resident), free, and say the peak.
PROBE = """
import sys
from zoo.measure.memory import peak_resident_bytes
for size in sys.argv[1:]:
    block = bytearray(int(size))
    block[::4096] = b"x" * len(block[::4096])
    del block
    print(peak_resident_bytes())
"""


def peaks_after(*sizes: int) -> list[int]:
    command = [sys.executable, "-c", PROBE, *map(str, sizes)]
    return [int(line) for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()]


def test_an_allocation_of_known_size_shows_in_the_peak_after_it_is_freed() -> None:
    first, second, third = peaks_after(200 * MEGABYTE, 400 * MEGABYTE, 100 * MEGABYTE)
    assert second - first == pytest.approx(200 * MEGABYTE, rel=0.05)
    assert third == second


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
