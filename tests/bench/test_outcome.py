from __future__ import annotations

import pytest
import torch

from zoo.bench.outcome import distribution_of, one_line, status_of
from zoo.errors import InputError, ZooError
from zoo.measure import Measured


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (MemoryError(), "oom"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "oom"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"), "oom"),
        (InputError("vocab_size 9 is too small"), "invalid"),
        (IndexError("index out of range in self"), "invalid"),
        (ZooError("no network"), "infra"),
        (OSError(28, "No space left on device"), "infra"),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), "infra"),
    ],
)
def test_an_error_says_whose_fault_it_was(error: Exception, status: str) -> None:
    assert status_of(error) == status


def test_a_real_allocation_that_cannot_be_had_is_oom() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**55, dtype=torch.uint8)
    assert status_of(caught.value) == "oom"


def test_an_error_is_one_line() -> None:
    assert one_line(ValueError("a\n  b")) == "ValueError: a b"
    assert one_line(ZooError("plain")) == "plain"


def test_a_distribution_is_recorded_with_its_samples_and_without_percentiles_it_cannot_have() -> None:
    found = distribution_of(Measured((3.0, 1.0, 2.0), "s"))
    assert (found.samples, found.median, found.minimum, found.maximum) == (3, 2.0, 1.0, 3.0)
    assert found.values == [3.0, 1.0, 2.0]
    assert found.p90 is None
    assert found.p99 is None
