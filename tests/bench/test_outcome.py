from __future__ import annotations

import pytest
import torch

from zoo.bench.outcome import distribution_of, machine_facts, one_line, performance_of, status_of, training_facts
from zoo.errors import InputError, ZooError
from zoo.export.contracts import RefusedError, UnfitError
from zoo.measure.batches import Rate
from zoo.measure.calibration import CalibrationReading
from zoo.measure.distribution import Measured, pooled
from zoo.measure.energy import EnergyReading
from zoo.measure.memory import MemoryReading
from zoo.measure.performance import Clocks
from zoo.measure.performance import Performance as Measurements
from zoo.training import TrainingOutcome


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (MemoryError(), "oom"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "oom"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"), "oom"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), "oom"),
        (RuntimeError("CUDA error: out of memory"), "oom"),
        (RefusedError("Failed to allocate memory for requested buffer of size 9"), "oom"),
        (InputError("vocab_size 9 is too small"), "invalid"),
        (UnfitError("logits of the export differ from torch's by 1"), "invalid"),
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
    assert one_line(UnfitError("logits differ", ": nothing was written to /home/me")) == "logits differ"


def test_a_distribution_is_recorded_with_its_samples_and_without_percentiles_it_cannot_have() -> None:
    found = distribution_of(Measured((3.0, 1.0, 2.0), "s"))
    assert (found.samples, found.median, found.minimum, found.maximum) == (3, 2.0, 1.0, 3.0)
    assert found.values == [3.0, 1.0, 2.0]
    assert found.p90 is None
    assert found.p99 is None


def test_measurements_of_several_processes_are_recorded_whole() -> None:
    parts = [Measured((3.0, 1.0, 2.0), "s", warmup=(8,)), Measured((5.0, 5.0, 9.0), "s", warmup=(13,))]
    measured = Measurements(
        device="NVIDIA H100",
        device_kind="cuda",
        threads=2,
        clocks=Clocks("bfloat16", "flex", pooled(parts), pooled(parts[:1]), pooled(parts), pooled(parts)),
        throughput=(Rate(1, "ok", 20.0, 2.0), Rate(8, "oom"), Rate(64, "untried")),
        memory=MemoryReading("cuda-allocated", 300, 0, 100, reserved=400, device=900, batch=1),
        energy=EnergyReading(600.0, 3.0, 1200, "NVML"),
        calibration=CalibrationReading("matmul", 0.25, 0.5),
        machine={"gpu": {"before": {"temperature_c": 40}, "after": {"temperature_c": 60}}},
    )
    found = performance_of(measured, {"training_tokens_per_second": 7.0, "optimizer_state_bytes": 88})
    assert found.latency is not None
    assert (found.latency.median, found.latency.processes, found.latency.warmup) == (3.5, [2.0, 5.0], [8, 13])
    assert found.latency.values == [3.0, 1.0, 2.0, 5.0, 5.0, 9.0]
    assert found.device_time is not None
    assert found.device_time.processes == [2.0]
    assert [(rate.batch, rate.status, rate.tokens_per_second) for rate in found.throughput] == [
        (1, "ok", 20.0),
        (8, "oom", None),
        (64, "untried", None),
    ]
    assert found.memory is not None
    assert (found.memory.peak, found.memory.reserved, found.memory.device, found.memory.batch) == (300, 400, 900, 1)
    assert found.energy is not None
    assert (found.energy.joules, found.energy.tokens) == (600.0, 1200)
    assert found.calibration is not None
    assert (found.calibration.before, found.calibration.after) == (0.25, 0.5)
    assert (found.training_tokens_per_second, found.optimizer_state_bytes) == (7.0, 88)
    assert machine_facts(measured) == {"gpu_state": {"before": {"temperature_c": 40}, "after": {"temperature_c": 60}}}


def test_a_record_says_what_training_found_beside_its_curve() -> None:
    batch = {"rows": 2, "source_length": 9, "target_length": 8, "tokens": 30, "examples": [4, 1]}
    clipping = {"steps": 40, "clipped": 3, "ranges": [[1, 2], [9, 9]]}
    facts = {"examples": 300, "stopped_early": 40, "best": {"step": 20, "dev_loss": 1.5}, "nan_batches": [batch]}
    facts |= {"clipping": clipping}
    outcome = TrainingOutcome("ok", None, 40, 100, 20, 1.0, None, facts=facts)
    assert training_facts(outcome) == {
        "training": {
            "stopped_early": 40,
            "best": {"step": 20, "dev_loss": 1.5},
            "nan_batches": [{"rows": 2, "source_length": 9, "target_length": 8, "tokens": 30}],
            "clipping": clipping,
        }
    }
    assert training_facts(TrainingOutcome("ok", None, 9, 9, 9, 1.0, None, facts={"examples": 300})) == {}
