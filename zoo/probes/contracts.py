"""What the host asks of probes, and what it gives them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from zoo.models.tokenizers import Tokenizers
from zoo.probes.batches import ProbeBatch, teacher_forced
from zoo.probes.options import ProbeOptions
from zoo.spec.sections import Spec
from zoo.tasks.contracts import Example


@dataclass(frozen=True)
class Series:
    """Values along an axis, such as layers, steps of decoding or classes of tokens: one line or several.

    Raises ValueError where a line has not one value for each place on the axis. A value is None where there is none.
    """

    axis: str
    """What the places are, such as ``decoder layer``."""
    unit: str
    """What the values are, such as ``share of attention``."""
    x: tuple[float, ...] | tuple[str, ...]
    """The places, in order: numbers, or names."""
    lines: Mapping[str, Sequence[float | None]]
    """Name of a line -> its values."""

    def __post_init__(self) -> None:
        for name, values in self.lines.items():
            if len(values) != len(self.x):
                raise ValueError(f"line {name!r} has {len(values)} values for {len(self.x)} places")


@dataclass(frozen=True)
class ProbeResult:
    """What a probe found. The host puts the probe's name and a dot before each name."""

    scalars: Mapping[str, float] = field(default_factory=dict)
    series: Mapping[str, Series] = field(default_factory=dict)


@dataclass(frozen=True)
class ProbeContext:
    """What a probe reads. The model is in evaluation mode, on its device, without gradients unless the probe asks."""

    model: Any
    tokenizers: Tokenizers
    examples: tuple[Example, ...]
    """The sample, at most the probe's `max_examples`, in the order of the split."""
    options: ProbeOptions
    max_tokens: int
    """Longer sources and targets are cut."""
    generator: torch.Generator
    """On the CPU, seeded: the only randomness that a probe may use."""
    outputs: tuple[str, ...] | None = None
    """What the model writes for each example, for probes that read outputs; else None."""
    spec: Spec | None = None
    """None where a model is measured without one."""
    step: int | None = None
    """The optimizer step, where the probe is measured during training."""

    @property
    def special_ids(self) -> frozenset[int]:
        """Source ids of pad, end, begin and unknown tokens."""
        return frozenset(self.tokenizers.source.all_special_ids)

    @property
    def tag_ids(self) -> frozenset[int]:
        """Source ids of the task's own tokens: domain tags, and the line feed of documents."""
        return frozenset(self.tokenizers.source.get_added_vocab().values()) - self.special_ids

    def batches(self, examples: Sequence[Example] | None = None) -> Iterator[ProbeBatch]:
        """The sample (or other examples) as teacher-forced batches on the model's device, in their order."""
        chosen = self.examples if examples is None else examples
        size = self.options.batch_size
        for start in range(0, len(chosen), size):
            yield teacher_forced(self.model, self.tokenizers, chosen[start : start + size], max_tokens=self.max_tokens)


class Probe(ABC):
    """Built as ``target(options)``. Leaves weights, gradients, mode and every random state as they were."""

    reads: Literal["model", "outputs"] = "model"
    """Whether `measure` passes examples through the model, or looks at what it wrote (`ProbeContext.outputs`)."""
    reads_images: bool = False
    """Whether it can read models whose sources are images: those are asked for no `ProbeContext.batches`."""
    needs_gradients: bool = False
    """Whether `measure` takes gradients. It uses `torch.autograd.grad`, which leaves every ``.grad`` alone."""

    def __init__(self, options: ProbeOptions) -> None:
        self.options = options

    def accept(self, model: Any) -> None:  # noqa: B027 - most probes take any
        """Raise InputError where `model` lacks what this probe reads. Called before training, with initial weights."""

    @abstractmethod
    def measure(self, context: ProbeContext) -> ProbeResult:
        """Read the model or its outputs. Where there is too little to tell anything, the result is empty."""
