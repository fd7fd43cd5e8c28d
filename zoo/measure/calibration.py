"""A kernel that never changes, timed before and after: how far the machine itself moved while it measured."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from zoo.measure.device import device_kind
from zoo.measure.latency import timed_calls
from zoo.measure.warmup import warm_up

_SIZES = {"cpu": 512, "cuda": 4096}
"""A few milliseconds each: long against a clock's reading, short against a measurement."""
_SAMPLES = 15
_WARM = {"cpu": 2, "cuda": 100}
"""Products at the least before it counts: a GPU's clocks take some tenths of a second to rise from idling."""


@dataclass(frozen=True)
class CalibrationReading:
    """Median seconds of the kernel at two moments."""

    kernel: str
    before: float
    after: float


@dataclass(frozen=True)
class CalibrationKernel:
    """A product of two square matrices in single precision, with the threads that torch has."""

    device: torch.device

    @property
    def size(self) -> int:
        return _SIZES[device_kind(self.device)]

    @property
    def name(self) -> str:
        return f"matmul {self.size}x{self.size}x{self.size} float32"

    def seconds(self) -> float:
        """Median seconds of one product, warm."""
        generator = torch.Generator().manual_seed(0)
        a, b = (torch.randn(self.size, self.size, generator=generator).to(self.device) for _ in range(2))  # [n, n]
        out = torch.empty_like(a)  # [n, n]

        def multiply(_: None) -> None:
            torch.mm(a, b, out=out)

        least = _WARM[device_kind(self.device)]
        warm_up(multiply, [None], at_least=least, at_most=least + 30, device=self.device)
        return timed_calls(multiply, [None], samples=_SAMPLES, device=self.device).median
