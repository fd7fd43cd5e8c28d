"""What a machine does with products of 8 bits."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest

from zoo.export import hardware
from zoo.export.hardware import TARGETS, THIS_MACHINE, extensions, saturates, this_machine


def test_a_processor_with_dot_products_of_8_bits_is_found_to_be_exact() -> None:
    if not extensions() & {"avx512_vnni", "avx_vnni", "asimddp"}:
        pytest.skip("no such extension is known of this processor")
    assert saturates() is False


@pytest.mark.parametrize("cut", [False, True])
def test_sums_are_compared_with_what_they_must_be(monkeypatch: pytest.MonkeyPatch, cut: bool) -> None:
    """As AVX2 does it: pairs of products in 16 bits."""

    def run(outputs: Any, feeds: dict[str, Any]) -> list[Any]:
        pairs = feeds["x"].astype(np.int64).reshape(len(feeds["x"]), -1, 2).sum(-1) * 127
        sums = np.minimum(pairs, 2**15 - 1 if cut else 2**40).sum(-1)
        return [np.repeat(sums[:, None], 32, axis=1).astype(np.int32)]

    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *_, **__: SimpleNamespace(run=run))
    assert saturates() is cut
    assert this_machine().saturates is cut
    assert ("cut" if cut else "exact") in this_machine().why


def test_without_a_trial_the_extensions_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "saturates", lambda: None)
    monkeypatch.setattr(hardware.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(hardware, "extensions", lambda: frozenset({"avx2"}))
    assert this_machine().saturates
    monkeypatch.setattr(hardware, "extensions", lambda: frozenset({"avx2", "avx512_vnni"}))
    assert not this_machine().saturates
    assert this_machine().why == "x86_64 with AVX2, AVX-512 VNNI"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx2 avx512_vnni\nbugs\t: x\n", {"fpu", "avx2", "avx512_vnni"}),
        ("processor\t: 0\nFeatures\t: fp asimd asimddp\n", {"fp", "asimd", "asimddp"}),
        ("processor\t: 0\nhart\t: 0\nisa\t: rv64imafdc\n", set()),
    ],
)
def test_extensions_are_read_as_linux_writes_them(
    monkeypatch: pytest.MonkeyPatch, text: str, expected: set[str]
) -> None:
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: text)
    assert extensions() == expected


def test_an_unknown_system_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any, **__: Any) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    monkeypatch.setattr(hardware.platform, "system", lambda: "Windows")
    assert extensions() == frozenset()


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A machine whose onnxruntime has these providers, and whose driver says this."""

    def of(*, cuda: bool, smi: str | None, known: bool = False) -> Any:
        def run(command: list[str], **_: Any) -> Any:
            assert command == ["nvidia-smi", "-L"]
            if smi is None:
                raise FileNotFoundError
            return SimpleNamespace(stdout=smi)

        providers = ["CUDAExecutionProvider"] if cuda else []
        devices = [SimpleNamespace(ep_name="CUDAExecutionProvider")] if known else []
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [*providers, "CPUExecutionProvider"])
        monkeypatch.setattr(onnxruntime, "get_ep_devices", lambda: devices, raising=False)
        monkeypatch.setattr(hardware.subprocess, "run", run)
        monkeypatch.setattr(Path, "exists", lambda _: False)
        monkeypatch.setattr(hardware, "saturates", lambda: False)
        return this_machine()

    return of


SMI = "GPU 0: NVIDIA A10 (UUID: GPU-1)\nGPU 1: NVIDIA A10 (UUID: GPU-2)\n"


def test_a_gpu_counts_where_onnxruntime_can_use_it_and_there_is_one(pretend: Any) -> None:
    assert pretend(cuda=True, smi=SMI).gpu == "NVIDIA A10, which onnxruntime computes on"
    assert pretend(cuda=True, smi=None, known=True).gpu.startswith("an NVIDIA GPU, which")
    machine = pretend(cuda=True, smi=None)  # a build for GPUs on a machine without one
    assert (machine.gpu, machine.idle_gpu) == ("", "")
    machine = pretend(cuda=False, smi="Failed to initialize NVML")
    assert (machine.gpu, machine.idle_gpu) == ("", "")


def test_a_gpu_that_onnxruntime_has_no_use_for_is_told_with_what_to_install(pretend: Any) -> None:
    machine = pretend(cuda=False, smi=SMI)
    assert not machine.gpu
    assert machine.idle_gpu.startswith("NVIDIA A10 is there, of no use yet: ")
    assert "pip install 'onnxruntime-gpu[cuda,cudnn]'" in machine.idle_gpu


def test_machines_by_name_are_told_from_this_one() -> None:
    assert THIS_MACHINE not in TARGETS
    assert all(name == machine.name for name, machine in TARGETS.items())
