"""Whether two models differ in speed and memory, on one device: only what lies beyond noise and margin is a verdict.

Times are compared by the medians of fresh processes, five a side at least. How far a fixed kernel moved between and
during the measurements widens every interval: by so much the machine itself was another one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from zoo.bench.record import Distribution, Performance, Throughput
from zoo.bench.selection import Model
from zoo.bench.standings import DeviceKey
from zoo.statistics import Interval, ratio_interval, welch_test

PerformanceVerdict = Literal["slower", "faster", "larger", "smaller", "within noise", "cannot tell"]
REGRESSIONS: tuple[PerformanceVerdict, ...] = ("slower", "larger")
_ABSURD = 100.0
"""Logarithm of a ratio that no two measurements have."""
PROCESSES = 5
"""Fresh processes a side that an interval needs."""


@dataclass(frozen=True)
class PerformanceComparison:
    """One quantity of two models, A and B, on one device."""

    device: DeviceKey
    quantity: str
    unit: str
    before: float | None
    after: float | None
    verdict: PerformanceVerdict
    """B against A."""
    interval: Interval | None = None
    """95% interval of B / A, widened by the drift; none where the quantity has no known noise."""
    drift: float | None = None
    """By what share the calibration kernel's slowest time exceeds its fastest; None where none was recorded."""
    why: str | None = None

    @property
    def ratio(self) -> float | None:
        """B / A."""
        return self.after / self.before if self.before and self.after is not None else None


@dataclass(frozen=True)
class _Device:
    """What both models' records measured on one device."""

    key: DeviceKey
    before: Sequence[Performance]
    after: Sequence[Performance]
    margin: float
    drift: float | None


_TIMES: dict[str, Callable[[Performance], Distribution | None]] = {
    "latency": lambda item: item.latency,
    "device time": lambda item: item.device_time,
    "encode": lambda item: item.encode,
    "decode per token": lambda item: item.decode_per_token,
}


def compare_performance(before: Model, after: Model, margin: float) -> list[PerformanceComparison]:
    """Every quantity that both models have on the same device, with the same threads and dtype.

    `margin` is the share by which B may be slower or larger than A, such as 0.05.
    """
    if not before.records or not after.records or not same_sentences(before, after):
        return []
    ours, theirs = before.standing.performance(), after.standing.performance()
    found: list[PerformanceComparison] = []
    for key in ours:
        if key in theirs:
            device = _Device(key, ours[key], theirs[key], margin, _drift([*ours[key], *theirs[key]]))
            found += [*_times(device), *_throughputs(device), *_memory(device)]
    return found


def same_sentences(before: Model, after: Model) -> bool:
    """Whether both were measured on sentences of the same task and data: longer ones take longer."""
    ours, theirs = before.standing, after.standing
    return (ours.task, ours.data_revision) == (theirs.task, theirs.data_revision)


def other_devices(before: Model, after: Model) -> list[DeviceKey]:
    """Devices that only one of the two was measured on."""
    ours, theirs = before.standing.performance(), after.standing.performance()
    return sorted(set(ours) ^ set(theirs))


def _drift(measured: Sequence[Performance]) -> float | None:
    """How far one kernel moved over all these measurements; None where a part lacks it or had another."""
    kernels = {item.calibration.kernel if item.calibration else None for item in measured}
    if len(kernels) != 1 or None in kernels:
        return None
    times = [
        time for item in measured if item.calibration for time in (item.calibration.before, item.calibration.after)
    ]
    return max(times) / min(times) - 1


def _times(device: _Device) -> Iterator[PerformanceComparison]:
    for quantity, chosen in _TIMES.items():
        ours, theirs = ([part for item in side if (part := chosen(item))] for side in (device.before, device.after))
        if not ours or not theirs:
            continue
        processes = [[value for part in side for value in part.processes] for side in (ours, theirs)]
        interval, why = None, None
        if min(len(side) for side in processes) < PROCESSES:
            why = f"{PROCESSES} fresh processes a side are needed, found {len(processes[0])} and {len(processes[1])}"
        elif min(map(min, processes)) <= 0:
            why = "a time on record is not positive"
        else:
            interval = _widened(ratio_interval(*processes), device.drift)
            why = _disturbed(ours, theirs)
        verdict: PerformanceVerdict = "cannot tell" if interval is None or why else _of_cost(interval, device.margin)
        yield PerformanceComparison(
            device=device.key,
            quantity=quantity,
            unit=ours[0].unit,
            before=median(part.median for part in ours),
            after=median(part.median for part in theirs),
            verdict=verdict,
            interval=interval,
            drift=device.drift,
            why=why or _too_wide(verdict),
        )


def _disturbed(ours: Sequence[Distribution], theirs: Sequence[Distribution]) -> str | None:
    """Why timings that something else on the machine got in the way of are no verdict on the model.

    The interval takes processes for independent, but a disturbance outlasts several of one record.
    """
    for letter, side in (("A", ours), ("B", theirs)):
        spread = max((part.spread or 1.0 for part in side if part.is_unsteady), default=None)
        if spread is not None:
            return f"unsteady: {letter}'s processes differ {spread:.3g} times, something else was at work"
    return None


def _throughputs(device: _Device) -> Iterator[PerformanceComparison]:
    """Each batch size has one value a record: its noise is taken to be that of the same records' latency."""
    sides = [_by_batch(side) for side in (device.before, device.after)]
    for batch in sorted(set(sides[0]) & set(sides[1])):
        ours, theirs = (side[batch] for side in sides)
        yield _throughput(device, batch, ours, theirs)


def _by_batch(side: Sequence[Performance]) -> dict[int, list[Throughput]]:
    found: dict[int, list[Throughput]] = {}
    for item in side:
        for part in item.throughput:
            found.setdefault(part.batch, []).append(part)
    return found


def _throughput(
    device: _Device, batch: int, ours: Sequence[Throughput], theirs: Sequence[Throughput]
) -> PerformanceComparison:
    rates = [[part.tokens_per_second for part in side if part.tokens_per_second] for side in (ours, theirs)]
    full = [any(part.status != "ok" for part in side) for side in (ours, theirs)]
    interval, why = None, None
    verdict: PerformanceVerdict
    if any(full):
        verdict = "cannot tell" if all(full) else "slower" if full[1] else "faster"
        why = f"{'A and B do' if all(full) else 'B does' if full[1] else 'A does'} not fit into memory"
    else:
        interval = _noise_of_latency(device, rates)
        verdict = "cannot tell" if interval is None else _of_cost((1 / interval[1], 1 / interval[0]), device.margin)
        why = _too_wide(verdict)
        if interval is None:
            why = f"no known noise: {PROCESSES} processes of latency a side are needed"
    return PerformanceComparison(
        device=device.key,
        quantity=f"throughput, batch {batch}",
        unit="tokens/s",
        before=median(rates[0]) if rates[0] else None,
        after=median(rates[1]) if rates[1] else None,
        verdict=verdict,
        interval=interval,
        drift=device.drift,
        why=why,
    )


def _noise_of_latency(device: _Device, rates: Sequence[Sequence[float]]) -> Interval | None:
    """Interval of a ratio of single measurements that scatter from process to process as latency does."""
    logs = []
    for side in (device.before, device.after):
        processes = [value for item in side if item.latency for value in item.latency.processes]
        if len(processes) < PROCESSES or min(processes) <= 0:
            return None
        middle = sum(map(math.log, processes)) / len(processes)
        # Welch's interval of a mean of n is sqrt(n) times too narrow for a single one.
        scale = math.sqrt(len(processes))
        logs.append([(math.log(value) - middle) * scale for value in processes])
    if not all(rates):
        return None
    ratio = math.log(median(rates[1])) - math.log(median(rates[0]))
    low, high = welch_test(*logs).interval
    if max(abs(ratio + low), abs(ratio + high)) > _ABSURD:
        return None
    return _widened((math.exp(ratio + low), math.exp(ratio + high)), device.drift)


def _memory(device: _Device) -> Iterator[PerformanceComparison]:
    """Peaks hardly vary: the margin alone decides. Of several seeds the largest peak counts."""
    ours, theirs = _peaks(device.before), _peaks(device.after)
    beyond = 1 + device.margin
    for key in ours:
        if key not in theirs or not ours[key]:
            continue
        ratio = theirs[key] / ours[key]
        yield PerformanceComparison(
            device=device.key,
            quantity=f"peak memory, {key[0]}" + (f", batch {key[1]}" if key[1] else ""),
            unit="B",
            before=ours[key],
            after=theirs[key],
            verdict="larger" if ratio > beyond else "smaller" if ratio < 1 / beyond else "within noise",
        )


def _peaks(side: Sequence[Performance]) -> dict[tuple[str, int | None], int]:
    """The largest peak of each kind of memory and batch size."""
    found: dict[tuple[str, int | None], int] = {}
    for item in side:
        if item.memory:
            key = (item.memory.kind, item.memory.batch)
            found[key] = max(found.get(key, 0), item.memory.peak)
    return found


def _widened(interval: Interval | None, drift: float | None) -> Interval | None:
    if interval is None:
        return None
    return interval[0] / (1 + (drift or 0)), interval[1] * (1 + (drift or 0))


def _of_cost(interval: Interval, margin: float) -> PerformanceVerdict:
    """Of the interval of a ratio of costs: a verdict only where all of it lies on one side of the margin."""
    low, high = interval
    if low > 1 + margin:
        return "slower"
    if high < 1 / (1 + margin):
        return "faster"
    if low >= 1 / (1 + margin) and high <= 1 + margin:
        return "within noise"
    return "cannot tell"


def _too_wide(verdict: PerformanceVerdict) -> str | None:
    return "the interval reaches beyond the margin" if verdict == "cannot tell" else None
