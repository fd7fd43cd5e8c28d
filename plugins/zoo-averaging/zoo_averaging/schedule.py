"""The learning rate that weights are averaged at."""

from __future__ import annotations

from zoo.spec.averaging import step_of
from zoo.training.contracts import Schedule
from zoo_averaging.options import SwaScheduleOptions


class SwaSchedule(Schedule):
    """Izmailov et al. (2018, arXiv:1803.05407), section 3.1: after `start` steps a constant rate, or a cyclic one.

    In step i of a cycle of c, counted from 1, the rate is ``(1 - i / c) * rate + i / c * low``: the last step of each
    has ``low``, and leaves the weights that are averaged. Cycles are counted back from the end of training.
    """

    options: SwaScheduleOptions

    def __init__(self, options: SwaScheduleOptions) -> None:
        super().__init__(options)
        self._before: Schedule | None = None if options.before is None else options.before.create()

    def factor(self, step: int, total_steps: int) -> float:
        rate, low, cycle = self.options.rate, self.options.low, self.options.cycle
        if step < step_of(self.options.start, total_steps):
            return 1.0 if self._before is None else self._before.factor(step, total_steps)
        if low is None or cycle is None:
            return rate
        done = ((step - total_steps) % cycle + 1) / cycle
        return (1 - done) * rate + done * low
