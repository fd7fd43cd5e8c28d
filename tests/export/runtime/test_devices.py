"""Which device is taken, what is said where it is not there, and tensors in a device's memory."""

from __future__ import annotations

import warnings
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest

from zoo.errors import InputError
from zoo.export.runtime import sessions
from zoo.export.runtime.ct2 import missing_from_ctranslate2
from zoo.export.runtime.devices import (
    CUDA,
    HOST,
    Buffers,
    Device,
    Memory,
    device_for,
    missing_from_onnxruntime,
    parsed,
    providers,
)

WHY = "it is not there"


@pytest.mark.parametrize(
    ("word", "made_for", "expected"),
    [
        ("cpu", "cuda", "cpu"),
        ("auto", "cpu", "cpu"),
        ("auto", "cuda", "cuda:0"),
        ("cuda", "cpu", "cuda:0"),
        ("cuda:3", "cuda", "cuda:3"),
    ],
)
def test_auto_is_the_gpu_of_an_export_for_gpus_and_names_are_taken_at_their_word(
    word: str, made_for: str, expected: str
) -> None:
    device = device_for(word, made_for, lambda: None)
    assert device.name == expected
    assert device.bound == (device.kind == "cuda")


@pytest.mark.parametrize("word", ["gpu", "cuda:", "cuda:x", "cuda:-1", "CPU", ""])
def test_another_word_is_refused_with_what_is_expected(word: str) -> None:
    with pytest.raises(InputError, match=rf"device '{word}': expected auto, cpu, cuda or cuda:N"):
        parsed(word)


def test_a_gpu_that_is_missing_is_an_error_where_it_was_asked_for_and_else_one_line() -> None:
    with pytest.raises(InputError, match=rf"^device 'cuda:1': {WHY}$"):
        device_for("cuda:1", "cuda", lambda: WHY)
    with pytest.warns(UserWarning, match=rf"^device auto: computing on the processor, as {WHY}$"):
        assert device_for("auto", "cuda", lambda: WHY) == HOST
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert device_for("auto", "cpu", lambda: WHY) == HOST


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ({"onnxruntime": "1.32.0"}, r"^onnxruntime 1\.32\.0 is installed, which has no CUDA\w+: pip uninstall"),
        ({"onnxruntime-gpu": "1.32.0"}, r"^onnxruntime-gpu 1\.32\.0 is installed, and offers no CUDA"),
        (
            {"onnxruntime": "1.31.0", "onnxruntime-gpu": "1.32.0"},
            r"^onnxruntime 1\.31\.0 and onnxruntime-gpu 1\.32\.0 are installed, and one hides the other: pip uninstall",
        ),
        ({}, "an onnxruntime of another name"),
    ],
)
def test_what_is_installed_is_named_and_what_to_install(
    monkeypatch: pytest.MonkeyPatch, there: dict[str, str], expected: str
) -> None:
    def version(name: str) -> str:
        if name not in there:
            raise metadata.PackageNotFoundError(name)
        return there[name]

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    monkeypatch.setattr(metadata, "version", version)
    told = missing_from_onnxruntime()
    assert told is not None
    with pytest.raises(AssertionError, match=expected):
        raise AssertionError(told)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, "CPUExecutionProvider"])
    assert missing_from_onnxruntime() is None


def test_cuda_is_asked_for_with_float32_products_as_they_are_and_the_processor_behind_it() -> None:
    (name, options), behind = providers(Device("cuda", 2))
    assert (name, behind) == (CUDA, "CPUExecutionProvider")
    assert (options["device_id"], options["use_tf32"]) == (2, 0)
    assert providers(HOST) == ["CPUExecutionProvider"]


class Pretended:
    """onnxruntime with a CUDA that does not load, or refuses a graph."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, raises: bool) -> None:
        self.asked: list[Any] = []

        def session(path: str, *, providers: list[Any], **options: Any) -> Any:
            self.asked.append(providers[0])
            assert not options["enable_fallback"]
            if raises and providers[0] != "CPUExecutionProvider":
                raise RuntimeError("CUDA failure 101: invalid device ordinal")
            return SimpleNamespace(
                get_providers=lambda: ["CPUExecutionProvider"],
                get_inputs=lambda: [SimpleNamespace(name="x")],
                get_outputs=lambda: [SimpleNamespace(name="y")],
            )

        monkeypatch.setattr(onnxruntime, "InferenceSession", session)


@pytest.mark.parametrize(
    ("raises", "expected"), [(False, "CUDA does not load: it needs a driver"), (True, "CUDA failure 101")]
)
def test_a_cuda_that_does_not_load_is_told_once_and_the_processor_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str], raises: bool, expected: str
) -> None:
    graph = tmp_path / "model.onnx"
    graph.write_bytes(b"graph")
    there = Pretended(monkeypatch, raises=raises)
    with pytest.raises(InputError, match=rf"device 'cuda:1': .*{expected}"):
        sessions.open_graph(graph, 1, ["x"], ["y"], device=Device("cuda", 1, asked=True, bound=True))
    with pytest.warns(UserWarning, match=rf"device auto: computing on the processor, as .*{expected}") as told:
        sessions.open_graph(graph, 1, ["x"], ["y"], device=Device("cuda", bound=True))
    assert len(told) == 1
    assert there.asked[-1] == "CPUExecutionProvider" if raises else there.asked[-1][0] == CUDA
    assert capfd.readouterr() == ("", "")


def test_ctranslate2_says_that_it_finds_no_gpu() -> None:
    library = pytest.importorskip("ctranslate2")
    if library.get_cuda_device_count():
        pytest.skip("here is one")
    assert "finds no CUDA device" in str(missing_from_ctranslate2())


def test_what_is_put_into_a_devices_memory_is_a_copy_and_comes_back() -> None:
    memory = Memory("cpu")
    for kind in (np.int64, np.float16, np.bool_):
        given = np.array([[1, 0, 1], [0, 1, 1]], kind)
        held = memory.put(given)
        given[:] = 0
        found = memory.read(held)
        assert found.dtype == kind
        assert found.tolist() == [[1, 0, 1], [0, 1, 1]]


def test_buffers_are_taken_in_turns_and_allocate_only_to_grow() -> None:
    buffers = Buffers(Memory("cpu"))
    taken = [buffers.next("key", (2, 3, length), np.float32) for length in range(1, 65)]
    places = [tensor.value.data_ptr() for tensor in taken]
    assert all(one != other for one, other in pairwise(places))
    assert len({id(tensor.value) for tensor in taken}) <= 2 * 6  # as 64 is the sixth power of 2
    assert all(tensor.value.shape()[0] >= 6 * length for length, tensor in enumerate(taken, 1))
