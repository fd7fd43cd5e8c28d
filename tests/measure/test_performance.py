from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from zoo.errors import ZooError
from zoo.measure import measure_performance, memory_probe, probe_memory, tokens_per_second


@pytest.fixture(scope="module")
def directory(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    tiny.model.save_pretrained(folder)
    tiny.tokenizer.save_pretrained(folder)
    return folder


def test_throughput_is_tokens_by_seconds(tiny: Any) -> None:
    """Each decoder step is made to take 20 ms; a step gives each of the 4 unfinished sentences one token."""
    step, batch = 0.02, 4
    layer = tiny.model.get_decoder()
    handle = layer.register_forward_pre_hook(lambda *_: time.sleep(step))
    # With the end token out of reach every sentence takes the same number of steps.
    decoding = tiny.spec.decoding.model_copy(update={"max_new_tokens": 8})
    tiny.model.generation_config.suppress_tokens = [tiny.tokenizer.eos_token_id]
    try:
        rate = tokens_per_second(tiny.model, tiny.tokenizer, tiny.sources, decoding, batch=batch, max_source_tokens=512)
    finally:
        handle.remove()
        tiny.model.generation_config.suppress_tokens = None
    assert 0.5 * batch / step < rate <= batch / step


def test_a_measurement_names_its_device_and_keeps_its_samples(tiny: Any) -> None:
    found = measure_performance(tiny.model, tiny.tokenizer, tiny.sources[:5], tiny.spec)
    assert found.device_kind == tiny.model.device.type == "cpu"
    assert found.device == "cpu"
    assert found.threads == torch.get_num_threads()
    assert found.dtype == "float64"
    assert len(found.latency.values) == tiny.spec.measurement.latency_samples
    assert found.latency.p90 is None
    assert found.tokens_per_second > 0
    assert found.throughput_batch == tiny.spec.measurement.throughput_batch
    assert found.memory is None


def test_the_memory_probe_counts_a_fresh_process(tiny: Any, directory: Path) -> None:
    found = probe_memory(directory, tiny.sources[:4], tiny.spec.decoding, batch=2, device=torch.device("cpu"))
    assert found.kind == "rss"
    assert 0 < found.before_load <= found.after_load <= found.peak
    weights = sum(p.numel() * p.element_size() for p in tiny.model.parameters())
    assert found.peak > weights
    assert found.reserved is None


@pytest.mark.slow
def test_a_probe_that_fails_says_why(tiny: Any, tmp_path: Path) -> None:
    with pytest.raises(ZooError, match=r"memory probe of .* failed with status 1: .*"):
        probe_memory(tmp_path, tiny.sources[:1], tiny.spec.decoding, batch=1, device=torch.device("cpu"))


def test_the_probe_refuses_to_measure_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\n \n")))
    with pytest.raises(SystemExit) as ended:
        memory_probe.main([str(tmp_path)])
    assert ended.value.code == 2
    assert "no sentence on standard input" in capsys.readouterr().err


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_the_probe_counts_allocated_bytes(tiny: Any, directory: Path) -> None:
    found = probe_memory(directory, tiny.sources[:4], tiny.spec.decoding, batch=2, device=torch.device("cuda", 0))
    weights = sum(p.numel() * p.element_size() for p in tiny.model.parameters())
    assert found.kind == "cuda-allocated"
    assert found.after_load >= weights
    assert found.after_load <= found.peak <= (found.reserved or 0)
