"""The graphs of an export, opened by onnxruntime: threads, memory, and what is refused."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import psutil
from numpy.typing import NDArray

from zoo.errors import InputError
from zoo.export.folder import ENCODER, FIRST_STEP, KEEP, LEAN_STEP, NEXT_STEP, REORDER, ROWS, SIDES, STATES, cache_names
from zoo.export.runtime.devices import CUDA, GPU, HOST, Device, not_loaded, onnxruntime_module, providers

_OF_FEW_BITS = (b"MatMulInteger", b"MatMulNBits")
"""Products of whole numbers, as graphs call them."""
_NOT_FASTER = ["MatMulScaleFusion", "SkipLayerNormFusion"]
"""Optimisations that are none. A product with one row, as every step's attention is, has a kernel of its own, but not
with a scale in it: without the first, a step of 16 rows takes a tenth less time (d=256). A sum and its normalisation as
one operator take four times as long as two operators do (102 against 23 microseconds for 64 rows, d=256)."""


@dataclass(frozen=True)
class Graphs:
    """Open sessions. They hold nothing of a call: any number of threads may run them at once."""

    first: Any
    following: Any
    layers: int
    encoder: Any = None
    """None of a language model, whose first step reads its prompt."""
    device: Device = HOST
    """Where they compute."""
    reorder: Any = None
    """What takes rows of caches on the device; None: the host does, by way of its own memory."""
    keep: Any = None
    """What takes rows of all that a step takes."""


TEXTS = ("input_ids", "attention_mask")
"""What an encoder of texts takes."""


def open_graphs(
    folder: Path,
    layers: int,
    threads: int | None = None,
    *,
    reads: Sequence[str] | None = TEXTS,
    device: Device = HOST,
) -> Graphs:
    """The graphs in `folder`, of a decoder of so many layers, each to run on `threads` threads (None: as many as the
    process has cores) of the processor, or on `device`, with an encoder that takes what `reads` names; None: without
    one.

    They are opened at once: most of the time goes into optimising them, outside of Python's lock.
    Raises InputError where onnxruntime cannot open one, or not on a device that was asked for by name, or it has not
    the inputs and outputs of an export; ZooError where onnxruntime is not installed.
    """
    step = LEAN_STEP if not device.bound and (folder / LEAN_STEP).is_file() else NEXT_STEP
    names = [FIRST_STEP, step, *([ENCODER] if reads else [])]
    rows = [name for name in (REORDER, KEEP) if device.bound and (folder / name).is_file()]
    opened, device = _opened([folder / name for name in (*names, *rows)], threads, device)
    first, following, *reading = opened[: len(names)]
    taking = dict(zip(rows, opened[len(names) :], strict=True)) if device.bound else {}
    sides = SIDES if reads else SIDES[:1]
    past, present = (cache_names(prefix, layers, sides) for prefix in ("past_key_values", "present"))
    for session in reading:
        _refuse_other(folder / ENCODER, session, reads or (), ["last_hidden_state"])
    given = ["input_ids", STATES if reads else "attention_mask"]
    _refuse_other(folder / FIRST_STEP, first, given, ["logits", *present])
    own = cache_names("present", layers, SIDES[:1])
    _refuse_other(folder / step, following, ["input_ids", *past], ["logits", *own])
    for name, session in taking.items():
        given = cache_names("past_key_values", layers, SIDES[:1] if name == REORDER else sides)
        _refuse_other(folder / name, session, [ROWS, *given], [f"{ROWS}.{item}" for item in given])
    encoder = reading[0] if reading else None
    return Graphs(first, following, layers, encoder, device, reorder=taking.get(REORDER), keep=taking.get(KEEP))


def open_graph(
    path: Path, threads: int | None, inputs: Sequence[str], outputs: Sequence[str], *, device: Device = HOST
) -> Any:
    """The one graph of a model that gives all at once; errors as those of `open_graphs`."""
    (session,), _ = _opened([path], threads, device)
    _refuse_other(path, session, inputs, outputs)
    return session


def _opened(paths: Sequence[Path], threads: int | None, device: Device) -> tuple[list[Any], Device]:
    """Sessions of graphs, and where they compute: on the processor where `device` was not asked for by name and cannot
    be had."""
    chosen = threads or usable_cores()
    runtime = onnxruntime_module()  # imported before the threads that need it
    if device.kind != GPU:
        return _all(paths, chosen, device), device
    _load_libraries(runtime)
    runtime.set_default_logger_severity(4)  # what does not load is told once, below
    try:
        found = _all(paths, chosen, device)
        why = None if all(CUDA in session.get_providers() for session in found) else not_loaded()
    except InputError as error:
        found, why = [], str(error)
    finally:
        runtime.set_default_logger_severity(2)  # onnxruntime's own
    if why is None:
        return found, device
    device.not_had(why)
    return found or _all(paths, chosen, HOST), HOST


def _all(paths: Sequence[Path], threads: int, device: Device) -> list[Any]:
    with ThreadPoolExecutor(len(paths)) as pool:
        return list(pool.map(lambda path: _open(path, threads, device), paths))


def _load_libraries(runtime: Any) -> None:
    """Have CUDA's libraries found where pip has put them. What is missing is not told here: a provider that does not
    load is."""
    if hasattr(runtime, "preload_dlls"):
        with redirect_stdout(StringIO()):
            runtime.preload_dlls()


def run(session: Any, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """All outputs of a graph by name, of as many of `feeds` as it takes."""
    names = [made.name for made in session.get_outputs()]
    taken = {given.name: feeds[given.name] for given in session.get_inputs() if given.name in feeds}
    return dict(zip(names, session.run(names, taken), strict=True))


def usable_cores() -> int:
    """Physical cores, or the fewer that this process may run on: two threads of one core share its arithmetic units,
    which a matrix product keeps busy."""
    physical = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else physical
    return max(1, min(physical, allowed))


def session_options(threads: int, *, packed: bool = True) -> Any:
    """How a graph is run.

    - All graph optimisations: they cost a fraction of a second at load, once.
    - Waiting threads sleep. By default they spin, to be there sooner; beside the workers of a web server they take the
      cores from whoever has something to compute, and one request's threads from another's.
    - No memory patterns: onnxruntime keeps one for every combination of shapes that it has met, and a decoder meets
      new ones with each source length and each step, so that the memory of a server would grow for ever.
    - Given as paths, weights in files beside a graph are mapped into memory. For matrix products they are copied once
      more, `packed` as the processor likes them. The first step, which a batch takes once, goes without: that costs a
      batch of 16 two hundredths of its time and one of 1 nothing (d=512, 25 tokens), a model opens half a second
      sooner, and processes share its weights. Weights of few bits are `packed` in every graph: without, a kernel
      makes float32 numbers of them at each call.
    """
    runtime = onnxruntime_module()
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1  # the graphs are chains: nothing runs beside anything
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.disable_prepacking", "0" if packed else "1")
    options.log_severity_level = 3  # errors
    return options


def _open(path: Path, threads: int, device: Device) -> Any:
    try:
        return onnxruntime_module().InferenceSession(
            str(path),
            sess_options=session_options(threads, packed=path.name != FIRST_STEP or _has_few_bits(path)),
            providers=providers(device),
            disabled_optimizers=_NOT_FASTER if device.kind != GPU else None,
            enable_fallback=0,  # that is told and done above
        )
    except Exception as error:  # onnxruntime's have no base of their own
        text = " ".join(str(error).split())[:200]
        version = onnxruntime_module().__version__
        raise InputError(f"onnxruntime {version} cannot open it ({text})", where=str(path)) from error


def _has_few_bits(path: Path) -> bool:
    """Whether a graph, which is small beside its weights, multiplies by weights of 8 or 4 bits."""
    text = path.read_bytes()
    return any(name in text for name in _OF_FEW_BITS)


def _refuse_other(path: Path, session: Any, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    there = {"input": {i.name for i in session.get_inputs()}, "output": {o.name for o in session.get_outputs()}}
    for what, names in (("input", inputs), ("output", outputs)):
        missing = [name for name in names if name not in there[what]]
        if missing:
            raise InputError(f"has no {what} '{missing[0]}': not a graph of 'zoo export'", where=str(path))
