"""Everything that records measured on one device, a row for each quantity and a column for each record."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from zoo.bench.record import Distribution, Performance, Record, Throughput
from zoo.bench.standings import DeviceKey, device_key
from zoo.site import figures
from zoo.site.device_columns import in_seconds
from zoo.site.naming import one_line

_LONGEST_LIST = 12


@dataclass(frozen=True)
class Reading:
    """`details` are lines below the value."""

    text: str = figures.NONE
    details: tuple[str, ...] = ()


@dataclass(frozen=True)
class Quantity:
    label: str
    note: str
    readings: tuple[Reading, ...]


@dataclass(frozen=True)
class MeasuredOn:
    """One device; `records` head the columns."""

    device: DeviceKey
    records: tuple[Record, ...]
    quantities: tuple[Quantity, ...]


_TIMES = (
    ("latency", "Latency", "one source (a sentence, an image), end to end"),
    ("device_time", "Device time", "the same by the GPU's own clock"),
    ("encode", "Reading the source", "the encoder, or a language model's prompt; one source"),
    ("decode_per_token", "Decoding, a token", "one source, without reading the source"),
)


def measurements(shown: Sequence[Record]) -> tuple[MeasuredOn, ...]:
    """What the records measured, device by device."""
    found: dict[DeviceKey, list[tuple[Record, Performance]]] = {}
    for record in shown:
        for item in record.performance:
            found.setdefault(device_key(item, record.environment), []).append((record, item))
    return tuple(
        MeasuredOn(key, tuple(record for record, _ in found[key]), tuple(_quantities([one for _, one in found[key]])))
        for key in sorted(found)
    )


def _quantities(measured: Sequence[Performance]) -> Iterator[Quantity]:
    """The rows; a quantity that no record has is left out."""

    def row(label: str, note: str, read: Callable[[Performance], Reading | None]) -> Iterator[Quantity]:
        readings = [read(one) for one in measured]
        if any(reading is not None for reading in readings):
            yield Quantity(label, note, tuple(reading or Reading() for reading in readings))

    for field, label, note in _TIMES:
        yield from row(label, note, lambda one, field=field: _time(getattr(one, field)))  # type: ignore[misc]
    for batch in sorted({rate.batch for one in measured for rate in one.throughput}):
        read = lambda one, batch=batch: _rate(one.throughput, batch)  # noqa: E731
        yield from row(f"Throughput, batch {batch:,}", "generated tokens a second", read)
    yield from row("Peak memory", "in a fresh process", _memory)
    yield from row("On disk", "files with weights and graphs", lambda one: _bytes(one.disk_bytes))
    yield from row(
        "Training", "tokens (patches, of images) a second", lambda one: _significant(one.training_tokens_per_second)
    )
    yield from row("Training", "optimizer steps a second", lambda one: _significant(one.training_steps_per_second))
    yield from row("Memory of training", "at most, in its steps", _training_memory)
    yield from row("Optimizer state", "tensors", lambda one: _bytes(one.optimizer_state_bytes))
    yield from row("Energy", "experimental: all that ran on the GPU", _energy)
    yield from row("Calibration", "how far the machine moved meanwhile", _drift)
    yield from row("Attention", "backend that ran", lambda one: Reading(one_line(one.attention)))


def _time(item: Distribution | None) -> Reading | None:
    if item is None:
        return None

    def text(value: float) -> str:
        seconds = in_seconds(value, item.unit)
        if seconds is None:
            return f"{figures.significant(value)} {one_line(item.unit)}"
        return f"{figures.milliseconds(seconds)} ms"

    lines = [f"{text(item.minimum)} to {text(item.maximum)}"]
    tail = [f"{name} {text(value)}" for name, value in (("p90", item.p90), ("p99", item.p99)) if value is not None]
    if tail:
        lines.append(", ".join(tail))
    lines.append(f"{item.samples:,} sample{'' if item.samples == 1 else 's'}")
    if len(item.processes) > 1:
        shown = ", ".join(text(value).removesuffix(" ms") for value in item.processes[:_LONGEST_LIST])
        more = ", …" if len(item.processes) > _LONGEST_LIST else ""
        lines.append(f"medians of {len(item.processes):,} processes: {shown}{more}")
    return Reading(text(item.median), tuple(lines))


_WITHOUT_RATE = {"oom": "out of memory", "untried": "not tried: a smaller batch was too large"}


def _rate(rates: Sequence[Throughput], batch: int) -> Reading | None:
    for rate in rates:
        if rate.batch == batch:
            if rate.tokens_per_second is None:
                return Reading(_WITHOUT_RATE.get(rate.status, one_line(rate.status)))
            outputs = rate.sentences_per_second
            details = () if outputs is None else (f"{figures.significant(outputs)} outputs a second",)
            return Reading(figures.significant(rate.tokens_per_second), details)
    return None


def _memory(one: Performance) -> Reading | None:
    if one.memory is None:
        return None
    parts = (
        ("before loading", one.memory.before_load),
        ("after loading", one.memory.after_load),
        ("reserved", one.memory.reserved),
        ("GPU in all", one.memory.device),
    )
    lines = [f"{name} {figures.mebibytes(value)} MiB" for name, value in parts if value is not None]
    return Reading(f"{figures.mebibytes(one.memory.peak)} MiB", (one_line(one.memory.kind), *lines))


def _training_memory(one: Performance) -> Reading | None:
    found = one.training_memory
    if found is None:
        return None
    parts = (("before the first step", found.before), ("reserved", found.reserved))
    lines = [f"{name} {figures.mebibytes(value)} MiB" for name, value in parts if value is not None]
    return Reading(f"{figures.mebibytes(found.peak)} MiB", (one_line(found.kind), *lines))


def _significant(value: float | None) -> Reading | None:
    return None if value is None else Reading(figures.significant(value))


def _bytes(value: int | None) -> Reading | None:
    return None if value is None else Reading(f"{figures.significant(figures.as_float(value) / 2**20)} MiB")


def _energy(one: Performance) -> Reading | None:
    if one.energy is None:
        return None
    lines = [f"in {figures.duration(one.energy.seconds)}, {one.energy.tokens:,} tokens", one_line(one.energy.source)]
    if one.energy.tokens:
        lines.insert(0, f"{figures.significant(1000 * one.energy.joules / one.energy.tokens)} mJ a token")
    return Reading(f"{figures.significant(one.energy.joules)} J", tuple(lines))


def _drift(one: Performance) -> Reading | None:
    if one.calibration is None:
        return None
    change = 100 * (one.calibration.after / one.calibration.before - 1)
    sign = "+" if change > 0 else ""
    before, after = figures.milliseconds(one.calibration.before), figures.milliseconds(one.calibration.after)
    return Reading(f"{sign}{figures.fixed(change, 1)}%", (one_line(one.calibration.kernel), f"{before} to {after} ms"))
