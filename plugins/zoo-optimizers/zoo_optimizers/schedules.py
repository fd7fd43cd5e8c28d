"""Learning rate as a function of the step. Step 0 is the first optimizer step, and its rate is never 0."""

from __future__ import annotations

import math

from zoo.training.contracts import Schedule
from zoo_optimizers.options import ConstantOptions, CosineOptions, InverseSqrtOptions


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
