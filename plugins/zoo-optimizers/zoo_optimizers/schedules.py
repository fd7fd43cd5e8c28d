"""Learning rate as a function of the step. Step 0 is the first optimizer step, and its rate is never 0."""

from __future__ import annotations

import math

from zoo.training.contracts import Schedule
from zoo_optimizers.options import ConstantOptions, CosineOptions, InverseSqrtOptions
from zoo_optimizers.schedule_options import CyclicOptions, LinearOptions, WarmupStableDecayOptions


class InverseSqrt(Schedule):
    """Vaswani et al. 2017 (arXiv:1706.03762), equation 3, normalised: the peak is the optimizer's own rate.

    ``factor = min(n / W, sqrt(W / n))`` with n counting steps from 1.
    """

    options: InverseSqrtOptions

    def factor(self, step: int, total_steps: int) -> float:
        n, warmup = step + 1, self.options.warmup
        return min(n / warmup, math.sqrt(warmup / n))


class Cosine(Schedule):
    """Loshchilov & Hutter 2017 (arXiv:1608.03983), equation 5, one period without restarts, after a linear warm-up.

    The first step after the warm-up is at the peak; the floor would be reached one step after the last.
    """

    options: CosineOptions

    def factor(self, step: int, total_steps: int) -> float:
        warmup, floor = self.options.warmup, self.options.floor
        if step < warmup:
            return (step + 1) / warmup
        progress = min(1.0, (step - warmup) / max(1, total_steps - warmup))
        return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))


class Constant(Schedule):
    """No decay: the control of every schedule."""

    options: ConstantOptions

    def factor(self, step: int, total_steps: int) -> float:
        return min(1.0, (step + 1) / self.options.warmup) if self.options.warmup else 1.0


class Linear(Schedule):
    """Linear warm-up, then a straight line to the floor, which would be reached one step after the last."""

    options: LinearOptions

    def factor(self, step: int, total_steps: int) -> float:
        warmup, floor = self.options.warmup, self.options.floor
        if step < warmup:
            return (step + 1) / warmup
        return floor + (1 - floor) * (1 - _way(step, warmup, total_steps))


class WarmupStableDecay(Schedule):
    """Warm-up, a flat stretch, a decay at the end: Hu et al. 2024 (arXiv:2404.06395), section 4.

    The shapes are those of Haegele et al. 2024 (arXiv:2405.18392), section 3 (linear, 1-sqrt), half a cosine, and Hu's
    exponential, whose half-life follows from the floor here. The floor would be reached one step after the last.
    A warm-up that runs into the decay's share shortens the decay.
    """

    options: WarmupStableDecayOptions

    def factor(self, step: int, total_steps: int) -> float:
        options = self.options
        if step < options.warmup:
            return (step + 1) / options.warmup
        begin = max(options.warmup, total_steps - max(1, round(options.decay * total_steps)))
        if step < begin:
            return 1.0
        way, floor = _way(step, begin, total_steps), options.floor
        if options.shape == "exponential":
            return float(floor**way)
        left = {
            "1-sqrt": 1 - math.sqrt(way),
            "linear": 1 - way,
            "cosine": 0.5 * (1 + math.cos(math.pi * way)),
        }
        return floor + (1 - floor) * left[options.shape]


class Cyclic(Schedule):
    """A rate that falls and comes back, for averages of the weights at the ends of cycles.

    sawtooth is Izmailov et al. 2018 (arXiv:1803.05407), section 3.2: ``(1 - t) peak + t low``,
    ``t = (mod(i - 1, c) + 1) / c`` with i counting steps from 1, so that the last step of a cycle has the lowest rate.
    triangle is Smith 2017 (arXiv:1506.01186), section 3.1, from the lowest up and down again; cosine is Loshchilov &
    Hutter 2017 (arXiv:1608.03983), equation 5, with restarts.
    """

    options: CyclicOptions

    def factor(self, step: int, total_steps: int) -> float:
        options = self.options
        if step < options.warmup:
            return (step + 1) / options.warmup
        begin = max(options.warmup, round(options.start * total_steps))
        if step < begin:
            return 1.0
        place = (step - begin) % options.cycle
        height = {
            "sawtooth": 1 - (place + 1) / options.cycle,
            "triangle": 1 - abs(1 - 2 * place / options.cycle),
            "cosine": 0.5 * (1 + math.cos(math.pi * place / options.cycle)),
        }
        return options.low + (1 - options.low) * height[options.shape]


def _way(step: int, begin: int, end: int) -> float:
    """How far `step` is on the way from `begin` to `end`: 0 to 1, and 1 past the end."""
    return min(1.0, (step - begin) / max(1, end - begin))
