"""The state of CPU and GPU around a measurement."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from zoo.measure import gpu as gpu_module
from zoo.measure.calibration import CalibrationKernel
from zoo.measure.cpu import container_limits, cpu_state
from zoo.measure.energy import energy_counter, generation_energy
from zoo.measure.environment import machine_state
from zoo.measure.gpu import gpu_state, gpu_uuid, memory_used, state_from_smi, throttle_reasons

UUID = "GPU-5d3b9f3a-1111-2222-3333-444455556666"


def test_another_process_that_works_is_named_and_this_one_is_not() -> None:
    # A name of its own, and no child of this process: an orphan of a shell.
    script = f"'{sys.executable}' -c 'while True: pass' >/dev/null 2>&1 & echo $!"
    other = int(subprocess.run(["sh", "-c", script], stdout=subprocess.PIPE, check=True).stdout)
    try:
        deadline = time.monotonic() + 20
        found: dict[str, Any] = {}
        while time.monotonic() < deadline:
            found = cpu_state(interval=0.5)
            if other in {process["pid"] for process in found["other_processes"]}:
                break
        (one,) = [process for process in found["other_processes"] if process["pid"] == other]
        assert 0.2 <= one["cores"] < 1.5
        assert "python" in one["name"]
        assert os.getpid() not in {process["pid"] for process in found["other_processes"]}
        assert 0 < found["busy_share"] <= 1
    finally:
        os.kill(other, 9)


def test_the_state_of_the_machine_is_json_and_without_a_gpu_says_nothing_of_one() -> None:
    found = machine_state(None)
    assert set(found) == {"cpu"}
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize(
    ("files", "limits"),
    [
        ({"cpu.max": "150000 100000\n", "memory.max": "1073741824\n"}, {"cores": 1.5, "memory_bytes": 2**30}),
        ({"cpu.max": "max 100000\n", "memory.max": "max\n"}, {}),
        (
            {
                "cpu/cpu.cfs_quota_us": "200000\n",
                "cpu/cpu.cfs_period_us": "100000\n",
                "memory/memory.limit_in_bytes": "9223372036854771712\n",
            },
            {"cores": 2.0},
        ),
        ({}, {}),
    ],
)
def test_the_limits_of_a_container_are_read_in_both_formats(
    files: dict[str, str], limits: dict[str, float], tmp_path: Path
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert container_limits(tmp_path) == limits


def test_throttle_reasons_are_named_as_nvml_documents_their_bits() -> None:
    assert throttle_reasons(0) == []
    assert throttle_reasons(0x1) == ["idle"]
    assert throttle_reasons(0x4 | 0x40) == ["software power cap", "hardware thermal slowdown"]
    assert throttle_reasons(0x10000) == ["unknown 0x10000"]


def test_the_tables_of_nvidia_smi_are_read() -> None:
    head = [UUID, "NVIDIA H100", "550.54", "1024", "81559", "0x0000000000000004"]
    table = [["GPU-other", *head[1:]], [*head, "1980", "2619", "1980", "45", "349.82", "[N/A]", "97"]]
    mine = [UUID, str(os.getpid()), "python", "500"]
    processes = [mine, [UUID, "77", "/home/somebody/a, b", "[N/A]"], ["GPU-other", "78", "x", "5"]]
    found = state_from_smi(UUID, table, processes)
    assert found == {
        "source": "nvidia-smi",
        "uuid": UUID,
        "name": "NVIDIA H100",
        "driver_version": "550.54",
        "clock_sm_mhz": 1980.0,
        "clock_memory_mhz": 2619.0,
        "clock_sm_max_mhz": 1980.0,
        "temperature_c": 45.0,
        "power_w": 349.82,
        "utilization_percent": 97.0,
        "memory_used_bytes": 1024 * 2**20,
        "memory_total_bytes": 81559 * 2**20,
        "throttled_by": ["software power cap"],
        "other_processes": [{"pid": 77, "name": "a, b", "memory_bytes": None}],
    }
    assert state_from_smi("GPU-absent", table, processes) is None


class FakeNvml:
    """What nvidia-ml-py answers for one GPU that does not tell its power limit."""

    class NVMLError(Exception):
        pass

    class _Values:
        def __init__(self, **values: Any) -> None:
            self.__dict__.update(values)

    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0
    joules = 0.0

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802 - NVML's names
        if uuid != UUID:
            raise self.NVMLError("Not Found")
        return uuid

    def __getattr__(self, name: str) -> Any:
        answers = {
            "nvmlSystemGetDriverVersion": "550.54",
            "nvmlDeviceGetName": "NVIDIA H100",
            "nvmlDeviceGetMemoryInfo": self._Values(used=5, total=10),
            "nvmlDeviceGetUtilizationRates": self._Values(gpu=50, memory=1),
            "nvmlDeviceGetCurrentClocksThrottleReasons": 0x20,
            "nvmlDeviceGetComputeRunningProcesses": [
                self._Values(pid=os.getpid(), usedGpuMemory=1),
                self._Values(pid=1, usedGpuMemory=2),
            ],
            "nvmlDeviceGetPowerUsage": 350_000,
            "nvmlDeviceGetClockInfo": 1980,
            "nvmlDeviceGetMaxClockInfo": 1980,
            "nvmlDeviceGetTemperature": 45,
        }
        if name == "nvmlDeviceGetTotalEnergyConsumption":
            return lambda _: self.joules * 1000
        if name not in answers:
            return self._refuse
        return lambda *_: answers[name]

    def _refuse(self, *_: Any) -> Any:
        raise self.NVMLError("Not Supported")


@pytest.fixture
def fake_nvml(monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
    library = FakeNvml()
    monkeypatch.setattr(gpu_module, "nvml", lambda: library)
    monkeypatch.setattr("zoo.measure.energy.nvml", lambda: library)
    return library


def test_nvmls_answers_are_told_in_plain_units_and_what_it_refuses_is_left_out(fake_nvml: FakeNvml) -> None:
    found = gpu_state(UUID)
    assert found is not None
    assert (found["source"], found["power_w"], found["temperature_c"]) == ("NVML", 350.0, 45)
    assert found["throttled_by"] == ["software thermal slowdown"]
    assert found["other_processes"] == [{"pid": 1, "memory_bytes": 2}]
    assert "power_limit_w" not in found
    assert memory_used(UUID) == 5
    assert gpu_state("GPU-absent") is None


def test_energy_is_the_counters_difference_over_a_run_that_is_long_enough(fake_nvml: FakeNvml) -> None:
    counter = energy_counter(UUID)
    assert counter is not None
    now = 0.0

    def generate() -> int:
        nonlocal now
        now += 0.75
        fake_nvml.joules += 300.0
        return 40

    found = generation_energy(generate, counter, at_least=2.0, clock=lambda: now)
    assert (found.joules, found.seconds, found.tokens) == (900.0, 2.25, 120)


def test_without_a_gpu_or_its_counter_there_is_no_energy(fake_nvml: FakeNvml) -> None:
    assert energy_counter(None) is None
    assert energy_counter("GPU-absent") is None
    assert gpu_uuid(torch.device("cpu")) is None
    assert gpu_state(None) is None


def test_the_calibration_kernel_is_named_by_what_it_computes_and_takes_time() -> None:
    kernel = CalibrationKernel(torch.device("cpu"))
    assert kernel.name == "matmul 512x512x512 float32"
    # No core does more than 10^12 multiplications and additions a second.
    assert kernel.seconds() > 2 * 512**3 / 1e12


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_tells_its_state() -> None:
    found = gpu_state(gpu_uuid(torch.device("cuda", 0)))
    if found is None:
        pytest.skip("neither NVML nor nvidia-smi")
    assert found["name"] == torch.cuda.get_device_name(0)
    assert found["clock_sm_mhz"] > 0
