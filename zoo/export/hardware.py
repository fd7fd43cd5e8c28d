"""What a processor does with products of 8 bits, and whether there is a GPU: tried on this machine, known of others by
name. Torch-free."""

from __future__ import annotations

import platform
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zoo.errors import InputError, ZooError, did_you_mean
from zoo.export.runtime.devices import CUDA, missing_from_onnxruntime

THIS_MACHINE = "this-machine"
_VNNI = {"avx512_vnni": "AVX-512 VNNI", "avx_vnni": "AVX-VNNI"}
_SHOWN = {"avx2": "AVX2", **_VNNI, "asimddp": "Arm dot products"}
"""Extensions that count here, as Linux calls them."""
_SYSCTL = {
    "hw.optional.arm.FEAT_DotProd": "asimddp",
    "hw.optional.avx2_0": "avx2",
    "hw.optional.avx512vnni": "avx512_vnni",
}
"""What macOS says of them; a name that it does not know is an extension that is not there."""

QUANTIZATION = "https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html"
"""onnxruntime on quantization: why U8S8 saturates, and what to do."""


@dataclass(frozen=True)
class Machine:
    """Where an export will run."""

    name: str
    known: bool
    """Whether its processor is one that onnxruntime has products of 8 bits for."""
    saturates: bool
    """Whether sums of products of 8 bits are cut, so that weights must have 7."""
    why: str
    """What of both is known, in words."""
    source: str
    gpu: str = ""
    """The GPU that exports compute on there, in words; empty: none."""
    idle_gpu: str = ""
    """A GPU that is there and that exports cannot compute on, and why, in words."""


TARGETS = {
    machine.name: machine
    for machine in (
        Machine(
            "avx2", True, True, "AVX2 adds pairs of products in 16 bits, which cuts them (VPMADDUBSW)", QUANTIZATION
        ),
        Machine("avx512-vnni", True, False, "AVX-512 VNNI adds products of 8 bits in 32 (VPDPBUSD)", QUANTIZATION),
        Machine("avx-vnni", True, False, "AVX-VNNI adds products of 8 bits in 32 (VPDPBUSD)", QUANTIZATION),
        Machine("arm", True, False, "Arm has no product of 8 bits that is cut (UDOT, SDOT, UMLAL)", QUANTIZATION),
        Machine("cuda", True, False, "an NVIDIA GPU", QUANTIZATION, gpu="an NVIDIA GPU"),
    )
}
"""Machines by name, other than this one."""


def target(name: str) -> Machine:
    """The machine of that name; `THIS_MACHINE` is tried. Raises InputError for another."""
    if name == THIS_MACHINE:
        return this_machine()
    if name not in TARGETS:
        raise InputError(f"--target {name}: expected {did_you_mean(name, [THIS_MACHINE, *TARGETS])}")
    return TARGETS[name]


def this_machine() -> Machine:
    """What can be told of this one: by a product whose sum is known, and by what its system says."""
    found = [name for flag, name in _SHOWN.items() if flag in extensions()]
    architecture = platform.machine().lower()
    words = f"{architecture} with {', '.join(found)}" if found else architecture
    cut = saturates()
    if cut is None:
        cut = architecture not in {"arm64", "aarch64"} and not set(_VNNI.values()).intersection(found)
        tried, source = "", QUANTIZATION
    else:
        import onnxruntime

        tried = ": onnxruntime's sums of products of 8 bits are " + ("cut" if cut else "exact")
        source = f"tried here with onnxruntime {onnxruntime.__version__}"
    known = bool(found) or architecture in {"x86_64", "amd64", "arm64", "aarch64"}
    gpu, idle = _gpus()
    return Machine(THIS_MACHINE, known, cut, f"{words}{tried}", source, gpu, idle)


def saturates() -> bool | None:
    """Whether onnxruntime cuts the sums of the largest products of 8 bits on this machine: unsigned by signed, for one
    row and for several, which have kernels of their own. None where `onnx`, which says the product, is not installed.
    """
    try:
        import onnxruntime
        from onnx import TensorProto, helper, numpy_helper
    except ImportError:
        return None
    inputs, outputs = 64, 32
    weights = numpy_helper.from_array(np.full((inputs, outputs), 127, np.int8), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["x", "w"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, ["rows", inputs])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, ["rows", outputs])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = [session.run(None, {"x": np.full((rows, inputs), 255, np.uint8)})[0] for rows in (1, 8)]
    return any(bool((sums != 255 * 127 * inputs).any()) for sums in found)


def extensions() -> frozenset[str]:
    """Of the processor's instructions, as Linux names them; none where the system does not say."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return (
            frozenset(name for key, name in _SYSCTL.items() if _sysctl(key))
            if platform.system() == "Darwin"
            else (frozenset())
        )
    line = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    return frozenset(line[1].split()) if line else frozenset()


def _sysctl(key: str) -> bool:
    done = subprocess.run(["/usr/sbin/sysctl", "-n", key], capture_output=True, text=True, check=False)
    return done.stdout.strip() == "1"


def _gpus() -> tuple[str, str]:
    """`Machine.gpu` and `Machine.idle_gpu` of this one: as onnxruntime and NVIDIA's driver say."""
    names = nvidia_gpus()
    told = ", ".join(dict.fromkeys(names)) or "an NVIDIA GPU"
    try:
        missing = missing_from_onnxruntime()
    except ZooError as error:
        missing = str(error)
    if missing is None:
        # A build of onnxruntime for GPUs runs on machines without one, too.
        return (f"{told}, which onnxruntime computes on", "") if names or _has_device() else ("", "")
    return "", f"{told} is there, of no use yet: {missing}" if names else ""


def nvidia_gpus() -> list[str]:
    """The names of NVIDIA's GPUs here, as its driver tells them; none without it."""
    try:
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return re.findall(r"^GPU \d+: (.*?)(?: \(UUID.*)?$", done.stdout, re.MULTILINE)


def _has_device() -> bool:
    """Whether onnxruntime or the system knows an NVIDIA GPU: containers may have no nvidia-smi."""
    import onnxruntime

    devices: list[Any] = onnxruntime.get_ep_devices() if hasattr(onnxruntime, "get_ep_devices") else []
    return any(item.ep_name == CUDA for item in devices) or any(
        Path(path).exists() for path in ("/dev/nvidiactl", "/dev/dxg")
    )
