"""The whole measurement of a saved model, in its fresh processes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from zoo.errors import InputError
from zoo.measure import performance as module
from zoo.measure.performance import Capacity, measure_capacity, measure_performance, probe_request
from zoo.measure.probe import ProbeKilledError


@pytest.fixture(scope="module")
def directory(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    tiny.model.save_pretrained(folder)
    tiny.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def spec(tiny: Any) -> Callable[..., Any]:
    """The tiny spec with other values in its measurement."""
    return lambda **values: tiny.spec.model_copy(
        update={"measurement": tiny.spec.measurement.model_copy(update=values)}
    )


@pytest.mark.slow
def test_a_measurement_is_whole_and_names_its_device(tiny: Any, directory: Path, spec: Callable[..., Any]) -> None:
    seen: list[tuple[str, int, int]] = []
    found = measure_performance(
        directory,
        tiny.sources[:4],
        spec(processes=2, latency_samples=3, warmup=1, throughput_batches=[4, 1]),
        device=torch.device("cpu"),
        progress=lambda *report: seen.append(report),
    )
    assert (found.device, found.device_kind, found.threads) == ("cpu", "cpu", torch.get_num_threads())
    assert found.clocks.attention == "sdpa"
    for measured in (found.clocks.latency, found.clocks.encode, found.clocks.decode_per_token):
        assert len(measured.values) == 2 * 3
        assert len(measured.processes) == len(measured.warmup) == 2
        assert min(measured.warmup) > 1
        assert measured.unit == "s"
    assert found.clocks.device_time is None, "a CPU has no clock of its own"
    assert found.clocks.encode.median < found.clocks.latency.median
    assert found.energy is None
    assert [(rate.batch, rate.status) for rate in found.throughput] == [(1, "ok"), (4, "ok")]
    assert all((rate.tokens_per_second or 0) > 0 for rate in found.throughput)
    memory = found.memory
    assert memory is not None
    assert (memory.kind, memory.batch, memory.reserved, memory.device) == ("rss", 1, None, None)
    assert 0 < (memory.before_load or 0) <= (memory.after_load or 0) <= memory.peak
    assert found.calibration.before > 0
    assert found.calibration.after > 0
    assert set(found.machine) == {"cpu"}
    assert set(found.machine["cpu"]) == {"before", "after"}
    assert [report for index, report in enumerate(seen) if report not in seen[:index]] == [
        ("measure", done, 3) for done in range(4)
    ]


def killed(answers: list[dict[str, Any]], *, out_of_memory: bool) -> Callable[..., Any]:
    def run(*_: Any) -> Any:
        raise ProbeKilledError("the batch probe was killed", answers, out_of_memory=out_of_memory)

    return run


def test_a_batch_that_costs_the_process_its_life_is_on_record_as_that(
    tiny: Any, spec: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    request = probe_request(tmp_path, tiny.sources, spec(throughput_batches=[8, 2, 1, 4]), device=torch.device("cpu"))
    rate = {"batch": 1, "status": "ok", "tokens_per_second": 2.0, "sentences_per_second": 1.0}
    monkeypatch.setattr(module, "run_probe", killed([{"rate": rate}], out_of_memory=True))
    found = measure_capacity(request)
    assert [(one.batch, one.status) for one in found.rates] == [(1, "ok"), (2, "oom"), (4, "untried"), (8, "untried")]
    monkeypatch.setattr(module, "run_probe", killed([], out_of_memory=True))
    assert measure_capacity(request) == Capacity(memory=None, rates=measure_capacity(request).rates, energy=None)
    assert [one.status for one in measure_capacity(request).rates] == ["oom", "untried", "untried", "untried"]


def test_a_process_that_was_killed_for_something_else_is_a_failure(
    tiny: Any, spec: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "run_probe", killed([], out_of_memory=False))
    with pytest.raises(ProbeKilledError):
        measure_capacity(probe_request(tmp_path, tiny.sources, spec(), device=torch.device("cpu")))


def test_no_sentence_is_refused(tiny: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one sentence"):
        measure_performance(tmp_path, ["", "  "], tiny.spec)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_everything_is_measured_there(tiny: Any, directory: Path, spec: Callable[..., Any]) -> None:
    found = measure_performance(
        directory,
        tiny.sources[:4],
        spec(processes=2, latency_samples=5, warmup=1, throughput_batches=[4, 1], flush_cache=True),
        device=torch.device("cuda", 0),
    )
    weights = sum(p.numel() * p.element_size() for p in tiny.model.parameters())
    memory = found.memory
    assert memory is not None
    assert memory.kind == "cuda-allocated"
    assert weights <= (memory.after_load or 0) <= memory.peak <= (memory.reserved or 0)
    assert memory.device is None or memory.device >= memory.reserved
    on_device = found.clocks.device_time
    assert on_device is not None
    assert 0 < on_device.median <= 1.5 * found.clocks.latency.median
    assert found.energy is None or found.energy.joules > 0
    assert "gpu" not in found.machine or found.machine["gpu"]["before"]["uuid"].startswith("GPU-")
