"""The columns of a board that say what was measured on one device, in training and after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from zoo.bench.record import STEADY, Performance
from zoo.bench.standings import DeviceKey, Standing
from zoo.site import figures
from zoo.site.columns import Cell, Column, Made, median_cell
from zoo.site.naming import one_line

_SECONDS = {"s": 1.0, "seconds": 1.0, "ms": 1e-3, "milliseconds": 1e-3, "us": 1e-6, "microseconds": 1e-6}
_MOST_BATCHES = 8
"""Batch sizes, and kinds of memory, that get columns of their own on one device."""


def device_columns(key: DeviceKey, label: str, group: str, found: Sequence[Standing]) -> list[Made]:
    """What was measured on one device; columns that no model fills are left out."""
    measured = [item.performance().get(key, []) for item in found]
    device = _Device(label, group, measured, [])
    device.time(
        "Latency",
        "latency",
        "latency",
        "Median end-to-end time of one source (a sentence, an image), of the medians of processes; unsteady: these "
        "differ by more than "
        f"{STEADY:g} times, as when something else is at work",
    )
    device.scalar(
        "Latency p90",
        "ms",
        "latency p90 (s)",
        "End-to-end time that nine of ten sources stay within",
        _p90,
        figures.milliseconds,
        per_unit=1e-3,
    )
    device.time("Device time", "device_time", "device time", "The same call by the GPU's own events")
    device.time("Encoder", "encode", "encoder time", "Reading the source alone (the encoder), one source")
    device.time("Per token", "decode_per_token", "time per token", "Generation without reading the source, per token")
    device.throughput()
    device.memory()
    device.disk()
    device.scalar(
        "Energy",
        "J per 1,000 tokens",
        "energy (J per token)",
        "Experimental: the GPU's own counter over one throughput run",
        lambda one: one.energy.joules / one.energy.tokens if one.energy and one.energy.tokens else None,
        lambda value: figures.significant(1000 * value),
        per_unit=1e-3,
    )
    device.scalar(
        "Training speed",
        "tokens/s",
        "training tokens/s",
        "Tokens a second while training, of sources (patches, of images) and targets",
        lambda one: one.training_tokens_per_second,
        figures.significant,
        better="higher",
    )
    device.scalar(
        "Training steps",
        "steps/s",
        "training steps/s",
        "Optimizer steps a second, evaluations and checkpoints left out",
        lambda one: one.training_steps_per_second,
        figures.significant,
        better="higher",
    )
    device.training_memory()
    device.scalar(
        "Optimizer state",
        "MiB",
        "optimizer state (bytes)",
        "Tensors that the optimizer keeps: moments, factors, scales",
        lambda one: None if one.optimizer_state_bytes is None else figures.as_float(one.optimizer_state_bytes),
        figures.mebibytes,
        better="lower",
        per_unit=2.0**20,
    )
    times = [item.training_seconds().get(key) for item in found]
    device.add(
        Column("Training", ("training (s)",), "", "Time of training", "lower"),
        [median_cell(() if summary is None else summary.values, figures.duration) for summary in times],
    )
    return device.made


@dataclass
class _Device:
    """Collects the columns of one device: `measured` holds each model's measurements, one per seed."""

    label: str
    group: str
    measured: list[list[Performance]]
    made: list[Made]

    def add(self, column: Column, cells: list[Cell]) -> None:
        if any(cell.value is not None or cell.text != figures.NONE for cell in cells):
            fields = tuple(f"{field} on {self.label}" for field in column.fields)
            about = f"{column.description}; {self.label}"
            parts = vars(column) | {"fields": fields, "description": about, "group": self.group}
            self.made.append((Column(**parts), cells))

    def scalar(
        self,
        name: str,
        unit: str,
        field: str,
        description: str,
        value: Callable[[Performance], float | None],
        text: Callable[[float], str],
        *,
        better: str = "lower",
        per_unit: float = 1.0,
    ) -> None:
        """An optional column of one number per measurement."""
        cells = [
            median_cell([number for one in each if (number := value(one)) is not None], text) for each in self.measured
        ]
        self.add(Column(name, (field,), unit, description, better, per_unit=per_unit, optional=True), cells)

    def time(self, name: str, attribute: str, field: str, description: str) -> None:
        """A column of repeated timings. The range is that of the processes' medians, where several were run."""
        cells = []
        for each in self.measured:
            medians: list[float] = []
            processes: list[float] = []
            unsteady = False
            for one in each:
                found = getattr(one, attribute)
                median = None if found is None else in_seconds(found.median, found.unit)
                if median is not None:
                    medians.append(median)
                    unsteady |= found.is_unsteady
                    processes.extend(in_seconds(value, found.unit) or 0.0 for value in found.processes)
            cell = median_cell(medians, figures.milliseconds, processes or medians)
            count = len(processes)
            detail = f"{cell.detail or 'no spread'}, {count} processes" if count > 1 else cell.detail
            if unsteady:
                detail += ", unsteady"
            ends = (min(processes), max(processes), count) if processes else (None, None, None)
            cells.append(Cell((*cell.data, *ends), cell.value, cell.text, detail))
        fields = (f"{field} (s)", f"{field} low (s)", f"{field} high (s)", f"{field} processes")
        optional = attribute != "latency"
        self.add(Column(name, fields, "ms", description, "lower", per_unit=1e-3, optional=optional), cells)

    def throughput(self) -> None:
        """One column per batch size; a batch that did not fit says so and has no number."""
        for batch in sorted({rate.batch for each in self.measured for one in each for rate in one.throughput})[
            :_MOST_BATCHES
        ]:
            cells = []
            for each in self.measured:
                rates = [rate for one in each for rate in one.throughput if rate.batch == batch]
                cell = median_cell(
                    [rate.tokens_per_second for rate in rates if rate.tokens_per_second is not None],
                    figures.significant,
                )
                failed = sum(rate.status == "oom" for rate in rates)
                status = "oom" if failed else "ok" if rates else None
                shown = "oom" if failed and cell.value is None else cell.text
                detail = f"oom in {failed} of {len(rates)} runs" if failed and cell.value is not None else cell.detail
                cells.append(Cell((*cell.data, status), cell.value, shown, detail))
            of = f"batch {batch}"
            fields = (f"tokens/s ({of})", f"status ({of})")
            about = f"Generated tokens a second, {of}; oom: the memory does not hold that batch"
            self.add(Column("Tokens/s", fields, of, about, "higher"), cells)
            self._outputs(batch)

    def _outputs(self, batch: int) -> None:
        """A column of what is comparable where something writes no tokens that are counted: a detector, a peer."""
        found = [[rate for one in each for rate in one.throughput if rate.batch == batch] for each in self.measured]
        if all(rate.tokens_per_second is not None for rates in found for rate in rates if rate.status == "ok"):
            return
        speeds = [[rate.sentences_per_second for rate in rates if rate.sentences_per_second] for rates in found]
        about = f"Outputs a second, whatever is read, batch {batch}"
        column = Column("Outputs/s", (f"outputs/s (batch {batch})",), f"batch {batch}", about, "higher")
        self.add(column, [median_cell(each, figures.significant) for each in speeds])

    def memory(self) -> None:
        kinds = sorted({one.memory.kind for each in self.measured for one in each if one.memory is not None})
        for kind in kinds[:_MOST_BATCHES]:
            peaks = [
                [figures.as_float(one.memory.peak) for one in each if one.memory and one.memory.kind == kind]
                for each in self.measured
            ]
            of = one_line(kind) if kind else "kind not stated"
            cells = [median_cell(values, figures.mebibytes) for values in peaks]
            about = f"Peak: {memory_description(kind)}"
            fields = (f"peak memory (bytes, {of})",)
            self.add(Column("Peak memory", fields, f"MiB, {of}", about, "lower", per_unit=2.0**20), cells)

    def disk(self) -> None:
        sizes = [[figures.as_float(one.disk_bytes) for one in each if one.disk_bytes] for each in self.measured]
        about = "Files with weights and graphs"
        column = Column("Disk", ("disk (bytes)",), "MiB", about, "lower", per_unit=2.0**20)
        self.add(column, [median_cell(each, figures.mebibytes) for each in sizes])

    def training_memory(self) -> None:
        """Two columns for each kind: the peak, and by how much it is more than what was there before the first step."""
        kinds = {one.training_memory.kind for each in self.measured for one in each if one.training_memory is not None}
        for kind in sorted(kinds)[:_MOST_BATCHES]:
            found = [
                [memory for one in each if (memory := one.training_memory) and memory.kind == kind]
                for each in self.measured
            ]
            of = one_line(kind) if kind else "kind not stated"
            about = f"the most in a step of training; {training_memory_description(kind)}"
            peaks = [[figures.as_float(memory.peak) for memory in each] for each in found]
            growths = [
                [figures.as_float(memory.growth) for memory in each if memory.growth is not None] for each in found
            ]
            for name, field, values, more in (
                ("Training memory", "training peak memory", peaks, ""),
                ("Training growth", "training memory growth", growths, ", less what was there before the first step"),
            ):
                cells = [median_cell(each, figures.mebibytes) for each in values]
                column = Column(
                    name,
                    (f"{field} (bytes, {of})",),
                    f"MiB, {of}",
                    f"{about[0].upper()}{about[1:]}{more}",
                    "lower",
                    per_unit=2.0**20,
                    optional=True,
                )
                self.add(column, cells)


def _p90(one: Performance) -> float | None:
    found = one.latency
    return None if found is None or found.p90 is None else in_seconds(found.p90, found.unit)


def memory_description(kind: str) -> str:
    """What a kind of peak memory counts."""
    known = {
        "rss": "resident memory of a whole fresh process that generates",
        "cuda-allocated": "tensors on the GPU in a fresh process that generates",
    }
    return known.get(
        kind,
        f"a fresh process that generates, counted as '{one_line(kind)}'" if kind else "what it counts is not stated",
    )


def training_memory_description(kind: str) -> str:
    """What a kind of peak memory of training counts."""
    known = {
        "rss": "resident memory of the training process",
        "rss-process": "resident memory of the training process, of everything since it began",
        "cuda-allocated": "tensors on the GPU: weights, gradients, moments, activations",
    }
    return known.get(kind, f"counted as '{one_line(kind)}'" if kind else "what it counts is not stated")


def in_seconds(value: float, unit: str) -> float | None:
    """A time in seconds, whichever unit it is recorded in; None where the unit is none of time."""
    factor = _SECONDS.get(unit)
    return None if factor is None else value * factor
