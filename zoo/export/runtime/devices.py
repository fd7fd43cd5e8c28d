"""Where an export computes: the processor, or a GPU; and tensors in a device's memory.

What is bound, allocated and read back here is so on any device that onnxruntime has: ``Memory("cpu")`` is the same code
over the processor's memory, which is how it is tested where there is no GPU.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.errors import InputError, ZooError

AUTO = "auto"
EXPECTED = "expected auto, cpu, cuda or cuda:N"
CUDA = "CUDAExecutionProvider"
PROCESSOR, GPU = "cpu", "cuda"
"""Kinds of devices, as onnxruntime, CTranslate2 and torch call them."""
_WITH_CUDA, _WITHOUT = "onnxruntime-gpu", "onnxruntime"
_INSTALL = "pip install 'onnxruntime-gpu[cuda,cudnn]'"

_TYPES: Mapping[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
}
"""onnxruntime's names of what tensors hold."""


@dataclass(frozen=True)
class Device:
    """A device, and whether nothing else will do."""

    kind: str = PROCESSOR
    number: int = 0
    asked: bool = False
    """Whether it was asked for by name."""
    bound: bool = False
    """Whether tensors stay in its memory from step to step, where the host does not reach them."""

    @property
    def name(self) -> str:
        """As it is asked for."""
        return self.kind if self.kind == PROCESSOR else f"{self.kind}:{self.number}"

    def not_had(self, why: str) -> None:
        """Raise InputError where it was asked for; else warn, in one line, that the processor is taken."""
        why = " ".join(why.split())
        if self.asked:
            raise InputError(f"device '{self.name}': {why}")
        warnings.warn(f"device {AUTO}: computing on the processor, as {why}", stacklevel=2)


HOST = Device()
"""The processor."""


def parsed(word: str) -> Device | None:
    """What 'cpu', 'cuda' and 'cuda:1' mean; None of 'auto'. Raises InputError for other words."""
    if word == AUTO:
        return None
    if word == PROCESSOR:
        return Device(asked=True)
    found = re.fullmatch(rf"{GPU}(?::(\d{{1,3}}))?", word)
    if not found:
        raise InputError(f"device '{word}': {EXPECTED}")
    return Device(GPU, int(found[1] or 0), asked=True, bound=True)


def device_for(word: str, made_for: str, missing: Callable[[], str | None]) -> Device:
    """The device that `word` means of an export that was made for a kind of device.

    'auto' is the GPU of an export for GPUs, where there is one. `missing` says why the program that runs the export has
    none, or None. Raises InputError for an unknown word, and where a GPU is asked for by name and missing.
    """
    device = parsed(word)
    if device is None:
        device = Device(GPU, bound=True) if made_for == GPU else HOST
    if device.kind == GPU:
        why = missing()
        if why is not None:
            device.not_had(why)
            return HOST
    return device


def onnxruntime_module() -> Any:
    """onnxruntime. Raises ZooError where it is not installed."""
    try:
        import onnxruntime
    except ImportError:
        raise ZooError("running an export needs onnxruntime: pip install 'zoo-registry[onnx]'") from None
    return onnxruntime


def missing_from_onnxruntime() -> str | None:
    """Why onnxruntime has no CUDA here, and what to install; None where it has. Errors are those of
    `onnxruntime_module`."""
    if CUDA in onnxruntime_module().get_available_providers():
        return None
    there = _installed()
    if _WITH_CUDA in there and _WITHOUT in there:
        return (
            f"{_told(there)} are installed, and one hides the other: pip uninstall {_WITHOUT} {_WITH_CUDA}, then "
            f"{_INSTALL}"
        )
    if _WITH_CUDA in there:
        return f"{_told(there)} is installed, and offers no {CUDA} on this system"
    return (
        f"{_told(there) or 'an onnxruntime of another name'} is installed, which has no {CUDA}: "
        f"pip uninstall {_WITHOUT}, then {_INSTALL}"
    )


def not_loaded() -> str:
    """What to say where onnxruntime offers CUDA and then does not take it."""
    found = _installed()
    there = _told({name: found[name] for name in (_WITH_CUDA,) if name in found} or found) or "onnxruntime"
    return (
        f"{there} is installed, but CUDA does not load: it needs a driver (see nvidia-smi), and CUDA and cuDNN of its "
        f"own versions ({_INSTALL})"
    )


def _installed() -> dict[str, str]:
    """Distribution -> version, of those that have the module onnxruntime."""
    found = {}
    for name in (_WITHOUT, _WITH_CUDA):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _told(found: Mapping[str, str]) -> str:
    return " and ".join(f"{name} {version}" for name, version in found.items())


def providers(device: Device) -> list[Any]:
    """onnxruntime's providers for a device, with options.

    - Memory is taken as it is asked for: by default each session doubles what it holds, and an export has several.
    - Convolutions take cuDNN's first good guess: by default all ways are tried for each new size of images.
    - What is float32 is multiplied in float32: by default CUDA takes 10 bits of each factor (TF32), and outputs would
      not be the model's.
    """
    if device.kind == PROCESSOR:
        return ["CPUExecutionProvider"]
    options = {
        "device_id": device.number,
        "arena_extend_strategy": "kSameAsRequested",
        "cudnn_conv_algo_search": "HEURISTIC",
        "use_tf32": 0,
    }
    return [(CUDA, options), "CPUExecutionProvider"]


@dataclass(frozen=True)
class Tensor:
    """A tensor in a device's memory: what a value of onnxruntime's holds, or the first numbers of it."""

    value: Any
    shape: tuple[int, ...]
    dtype: Any


class Memory:
    """A device's memory. Nothing of it changes: any number of threads may use it at once."""

    def __init__(self, kind: str, number: int = 0) -> None:
        self.kind = kind
        self.number = number

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Tensor:
        """Room for a tensor."""
        from onnxruntime import OrtValue

        return Tensor(OrtValue.ortvalue_from_shape_and_type(list(shape), dtype, self.kind, self.number), shape, dtype)

    def put(self, array: NDArray[Any]) -> Tensor:
        """A copy of the host's."""
        found = self.empty(array.shape, array.dtype.type)
        found.value.update_inplace(np.ascontiguousarray(array))
        return found

    def read(self, tensor: Tensor) -> NDArray[Any]:
        """A copy for the host."""
        numbers = tensor.value.numpy().reshape(-1)[: math.prod(tensor.shape)]
        return np.array(numbers.reshape(tensor.shape))

    def bind_input(self, binding: Any, name: str, tensor: Tensor) -> None:
        """Have a graph read it there."""
        binding.bind_input(name, self.kind, self.number, tensor.dtype, list(tensor.shape), tensor.value.data_ptr())

    def bind_output(self, binding: Any, name: str, tensor: Tensor | None = None) -> None:
        """Have a graph write there: into `tensor`, or into what it allocates."""
        if tensor is None:
            binding.bind_output(name, self.kind, self.number)
        else:
            binding.bind_output(name, self.kind, self.number, tensor.dtype, list(tensor.shape), tensor.value.data_ptr())

    def run(
        self, session: Any, given: Mapping[str, Tensor], at_host: frozenset[str] = frozenset()
    ) -> tuple[dict[str, Tensor], dict[str, NDArray[Any]]]:
        """All outputs of a graph by name, of as many of `given` as it takes: those that stay here, and those named in
        `at_host`."""
        binding = session.io_binding()
        for wanted in session.get_inputs():
            if wanted.name in given:
                self.bind_input(binding, wanted.name, given[wanted.name])
        names = [made.name for made in session.get_outputs()]
        for name in names:
            if name in at_host:
                binding.bind_output(name)
            else:
                self.bind_output(binding, name)
        session.run_with_iobinding(binding)
        here, host = {}, {}
        for name, value in zip(names, binding.get_outputs(), strict=True):
            if name in at_host:
                host[name] = np.array(value.numpy())
            else:
                here[name] = Tensor(value, tuple(value.shape()), _TYPES[value.data_type()])
        return here, host


class Buffers:
    """Room for tensors each of which is made of the one before: two buffers for each, taken in turns, so that no step
    allocates. One call's own."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._held: dict[tuple[str, bool], Tensor] = {}
        self._turn: dict[str, bool] = {}

    def next(self, name: str, shape: tuple[int, ...], dtype: Any) -> Tensor:
        """Room for the next tensor of that name: never where the last one lies. Grows by doubling."""
        turn = self._turn[name] = not self._turn.get(name, False)
        held, size = self._held.get((name, turn)), math.prod(shape)
        if held is None or held.shape[0] < size:
            held = self._held[name, turn] = self._memory.empty((2 * size,), dtype)
        return Tensor(held.value, shape, dtype)
