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
from torch import Tensor, nn

from zoo.errors import InputError
from zoo.measure.interleaved import interleaved
from zoo.measure.tensor_trace import FUSED, WRITTEN_OUT, TensorTrace
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
    """Tensors ``[B or 1, H, Lq, Lk]`` made forward, over the layers; None where a compiled kernel hides it."""
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

    `models` are labels with what builds the model, `layers` how many layers each has. A language model reads source
    and target in one row. Raises InputError for a length that is a width of a model too: a trace knows attention scores
    by their shape; and for a model that reads images.
    """
    built = [make().to(device).train() for _, make in models]
    for (label, _), model in zip(models, built, strict=True):
        if model.reads != "text":
            raise InputError(f"{label} reads images, and the steps here are on random tokens: choose a model of texts")
    for (label, _), model in zip(models, built, strict=True):
        _refuse_widths(label, model, shape)
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


def _lengths(model: Any, shape: Shape) -> tuple[tuple[int, int], ...]:
    """Queries and keys of each attention of the model."""
    source, target = shape.source, shape.target
    if model.arrangement == "sequence":
        return ((source + target, source + target),)
    return ((source, source), (target, target), (target, source))


def _refuse_widths(label: str, model: Any, shape: Shape) -> None:
    section = model.section
    of_matrices = {size for part in model.modules() if isinstance(part, nn.Linear) for size in part.weight.shape}
    of_tables = {size for part in model.parameters() for size in part.shape} - {section.max_positions}
    widths = of_matrices | of_tables | {section.head_dim or section.d_model // section.heads}
    for length in {length for pair in _lengths(model, shape) for length in pair}:
        if length in widths:
            raise InputError(
                f"{length} tokens: {label} has a width of {length}, and attention scores are known by their shape: "
                "choose another --source or --target"
            )


def _batch(model: Any, shape: Shape, device: torch.device) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(0)
    source = torch.randint(4, model.config.source_vocab_size, (shape.batch, shape.source), generator=draw)
    labels = torch.randint(4, model.config.vocab_size, (shape.batch, shape.target), generator=draw)
    mask = torch.ones_like(source)
    for row in range(shape.batch):
        short = row * 2 // 3
        mask[row, max(1, shape.source - short) :] = 0
        labels[row, max(1, shape.target - short) :] = -100
    if model.arrangement == "sequence":
        # A row is as much shorter as its target is, and has no mask: what is padded stands behind what is read.
        source[:, -1] = model.separator
        tokens = torch.cat((source, labels.clamp_min(0)), dim=1)  # [B, S + T]
        plain = {"input_ids": tokens, "labels": torch.cat((torch.full_like(source, -100), labels), dim=1)}
    else:
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
        others = {"sdpa": "sdpa", "eager": WRITTEN_OUT}
        kernels |= {others.get(name, name) for name in backend.split("+")}
    else:
        with TensorTrace(*_lengths(model, shape)) as trace:
            loss = model(**_batch(model, shape, device)).loss
        kernels |= set(trace.kernels)
        written = trace.written.total() / layers
        del loss
    model.zero_grad(set_to_none=True)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        step()
        return tuple(sorted(kernels)), written, torch.cuda.max_memory_allocated(device) - before
    with TensorTrace() as trace:
        step()
    model.zero_grad(set_to_none=True)
    return tuple(sorted(kernels)), written, trace.peak
