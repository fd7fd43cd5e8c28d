"""What a training step costs in several models of one spec: the kernels it runs, its time and its memory, in turn."""

from __future__ import annotations

import gc
import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from zoo.measure.interleaved import interleaved
from zoo.measure.tensor_trace import FUSED, TensorTrace
from zoo.statistics import Interval, ratio_interval
from zoo.tasks.contracts import Progress, silent

WARM_UP = 2


@dataclass(frozen=True)
class Shape:
    """The batch that every model steps on: no row is full but the first, as in training."""

    batch: int = 16
    source: int = 63
    target: int = 61


@dataclass(frozen=True)
class StepCost:
    """What one training step (forward and backward, no optimizer) of one model takes."""

    label: str
    kernels: tuple[str, ...]
    """Attention kernels that ran forward, such as ``sdpa flash`` or ``written out``."""
    scores_written: float | None
    """Tensors ``[B or 1, H, L, L]`` made forward, over the number of layers; None where a compiled kernel hides it."""
    seconds: tuple[float, ...]
    """Of each round."""
    peak_bytes: int
    """The most that activations and gradients took at once: tensors on CPU, the allocator's figure on CUDA."""

    @property
    def fused(self) -> bool:
        """Whether no kernel wrote attention weights out."""
        return bool(self.kernels) and set(self.kernels) <= FUSED | {"sdpa"}

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def ratio(self, reference: StepCost) -> tuple[float, Interval | None]:
        """Median of the rounds' ratios of time to `reference`, with the interval of a Mann-Whitney test."""
        ratios = [mine / theirs for mine, theirs in zip(self.seconds, reference.seconds, strict=True)]
        return statistics.median(ratios), ratio_interval(reference.seconds, self.seconds)


def step_costs(
    models: Sequence[tuple[str, Callable[[], Any]]],
    shape: Shape,
    *,
    rounds: int,
    device: torch.device,
    layers: Sequence[int],
    progress: Progress = silent,
) -> list[StepCost]:
    """Step each model once a round, in turn, so that a drift of the machine falls on all alike.

    `models` are labels with what builds the model, `layers` how many layers each has. Raises ValueError for lengths
    that are equal: a trace knows attention scores by their shape.
    """
    if shape.source == shape.target:
        raise ValueError(f"source and target are both {shape.source} tokens: choose two lengths")
    built = [make().to(device).train() for _, make in models]
    steps = [_step(model, shape, device) for model in built]
    traced = []
    for number, (model, step, depth) in enumerate(zip(built, steps, layers, strict=True)):
        progress("trace", number, len(built))
        for _ in range(WARM_UP):
            step()
        traced.append(_traced(model, step, shape, device, depth))
        model.zero_grad(set_to_none=True)
    gc.collect()
    done = itertools.count(1)

    def timed(step: Callable[[], None]) -> Callable[[], float]:
        def run() -> float:
            seconds = _seconds(step, device)
            progress("time", next(done), rounds * len(built))
            return seconds

        return run

    seconds = interleaved([timed(step) for step in steps], rounds)
    return [
        StepCost(label, kernels, written, tuple(times), peak)
        for (label, _), (kernels, written, peak), times in zip(models, traced, seconds, strict=True)
    ]


def _batch(model: Any, shape: Shape, device: torch.device) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(0)
    vocabulary = model.config.vocab_size
    source = torch.randint(4, vocabulary, (shape.batch, shape.source), generator=draw)
    labels = torch.randint(4, vocabulary, (shape.batch, shape.target), generator=draw)
    mask = torch.ones_like(source)
    for row in range(shape.batch):
        short = row * 2 // 3
        mask[row, max(1, shape.source - short) :] = 0
        labels[row, max(1, shape.target - short) :] = -100
    plain = {"input_ids": source * mask, "attention_mask": mask, "labels": labels}
    return {name: item.to(device) for name, item in plain.items()}


def _step(model: Any, shape: Shape, device: torch.device) -> Callable[[], None]:
    batch = _batch(model, shape, device)

    def step() -> None:
        model.zero_grad(set_to_none=True)
        model(**batch).loss.backward()

    return step


def _seconds(step: Callable[[], None], device: torch.device) -> float:
    _wait(device)
    begun = time.perf_counter()
    step()
    _wait(device)
    return time.perf_counter() - begun


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _traced(
    model: Any, step: Callable[[], None], shape: Shape, device: torch.device, layers: int
) -> tuple[tuple[str, ...], float | None, int]:
    """Kernels, scores written for each layer, and peak bytes of one step; `step` has run before."""
    backend = str(model.attention_backend)
    written: float | None = None
    kernels: set[str] = set()
    if "flex" in backend and device.type == "cuda":
        # FlexAttention is not compiled under a trace, and would be another kernel.
        kernels |= {"flex"} | ({"sdpa"} & set(backend.split("+")))
    else:
        written = 0.0
        batch = _batch(model, shape, device)
        for length in (shape.source, shape.target):
            with TensorTrace(length, length) as trace:
                loss = model(**batch).loss
            kernels |= set(trace.kernels)
            written += trace.written.total() / layers
            del loss
    model.zero_grad(set_to_none=True)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        step()
        return tuple(sorted(kernels)), written, torch.cuda.max_memory_allocated(device) - before
    with TensorTrace(0, 0) as trace:
        step()
    model.zero_grad(set_to_none=True)
    return tuple(sorted(kernels)), written, trace.peak
