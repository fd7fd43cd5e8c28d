"""Records as tables: what `zoo records query` asks its questions of. Each table names a record by its id."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from zoo.bench.record import Distribution, Record
from zoo.bench.standings import final_dev_loss

Row = tuple[Any, ...]
TEXT, INTEGER, REAL, TRUTH, TIME, JSON = "VARCHAR", "BIGINT", "DOUBLE", "BOOLEAN", "TIMESTAMP", "JSON"


@dataclass(frozen=True)
class View:
    """One table: its columns with their SQL types, and the rows that a record gives."""

    name: str
    summary: str
    columns: tuple[tuple[str, str], ...]
    rows: Callable[[Record], Iterator[Row]]

    def table(self, records: Sequence[Record]) -> Any:
        """A `pyarrow.Table` of all records' rows, in their order."""
        import pyarrow as pa

        types = {
            TEXT: pa.string(),
            INTEGER: pa.int64(),
            REAL: pa.float64(),
            TRUTH: pa.bool_(),
            TIME: pa.timestamp("us"),
            JSON: pa.string(),
        }
        rows = [row for record in records for row in self.rows(record)]
        columns: list[Sequence[Any]] = list(zip(*rows, strict=True)) if rows else [() for _ in self.columns]
        return pa.table(
            {name: pa.array(values, types[type_]) for (name, type_), values in zip(self.columns, columns, strict=True)}
        )


def _records(record: Record) -> Iterator[Row]:
    facts = record.environment
    gpus, git, packages = facts.get("gpus"), facts.get("git"), facts.get("packages")
    gpu = gpus[0] if isinstance(gpus, list) and gpus else None
    git = git if isinstance(git, dict) else {}
    packages = packages if isinstance(packages, dict) else {}
    yield (
        record.id,
        _moment(record.created),
        record.task,
        record.name,
        record.role,
        record.seed,
        record.status,
        record.error,
        record.attempt,
        record.cell,
        record.parameters,
        record.steps,
        record.training_seconds,
        record.training_tokens,
        final_dev_loss(record),
        record.hardware,
        _text(facts.get("host")),
        _text(facts.get("cpu")),
        _text(gpu.get("name") if isinstance(gpu, dict) else gpu),
        _text(git.get("commit")),
        git.get("dirty") if isinstance(git.get("dirty"), bool) else None,
        _text(facts.get("python")),
        _text(packages.get("torch")),
        _text(packages.get("transformers")),
        record.data_revision,
        record.spec_hash,
        record.outputs.file if record.outputs else None,
        record.export.exporter if record.export else None,
        json.dumps(record.spec, ensure_ascii=False),
        json.dumps(facts, ensure_ascii=False),
    )


def _quality(record: Record) -> Iterator[Row]:
    for number, score in enumerate(record.quality):
        low, high = score.interval or (None, None)
        yield (
            record.id,
            number,
            score.metric,
            score.value,
            low,
            high,
            score.unit,
            score.direction,
            score.split,
            score.examples,
            score.signature,
        )


def _performance(record: Record) -> Iterator[Row]:
    for part in record.performance:
        latency, memory, energy, calibration = part.latency, part.memory, part.energy, part.calibration
        trained = part.training_memory
        yield (
            record.id,
            part.device,
            part.device_kind,
            part.threads,
            part.dtype,
            part.attention,
            *([latency.samples, len(latency.processes) or 1] if latency else [None] * 2),
            _median(latency),
            *([latency.minimum, latency.maximum, latency.p90, latency.p99] if latency else [None] * 4),
            _median(part.device_time),
            _median(part.encode),
            _median(part.decode_per_token),
            *(
                [memory.kind, memory.peak, memory.before_load, memory.after_load, memory.reserved, memory.device]
                if memory
                else [None] * 6
            ),
            *([energy.joules, energy.seconds, energy.tokens] if energy else [None] * 3),
            *([calibration.before, calibration.after] if calibration else [None] * 2),
            part.training_tokens_per_second,
            part.training_steps_per_second,
            *([trained.kind, trained.peak, trained.before, trained.reserved] if trained else [None] * 4),
            part.optimizer_state_bytes,
            part.disk_bytes,
        )


def _throughput(record: Record) -> Iterator[Row]:
    for part in record.performance:
        for rate in part.throughput:
            yield (
                record.id,
                part.device,
                part.device_kind,
                rate.batch,
                rate.status,
                rate.tokens_per_second,
                rate.sentences_per_second,
            )


def _curve(record: Record) -> Iterator[Row]:
    for point in record.curve:
        yield (
            record.id,
            point.step,
            point.loss,
            point.dev_loss,
            point.learning_rate,
            point.gradient_norm,
            point.clipped_norm,
            point.clipped_fraction,
            point.update_clipped_fraction,
            point.averaged_dev_loss,
        )


def _gradient_curve(record: Record) -> Iterator[Row]:
    for point in record.curve:
        for name, value in point.gradients.items():
            part, _, measured = name.rpartition(".")
            yield record.id, point.step, part, measured, value


def _probe_curve(record: Record) -> Iterator[Row]:
    for point in record.curve:
        for name, value in point.probes.items():
            yield record.id, point.step, name, value


def _probe_series(record: Record) -> Iterator[Row]:
    for name, series in record.probe_series.items():
        for line, values in series.lines.items():
            for place, (at, value) in enumerate(zip(series.x, values, strict=False)):
                number, label = (None, at) if isinstance(at, str) else (at, None)
                yield record.id, name, line, place, number, label, value, series.axis, series.unit


def _probes(record: Record) -> Iterator[Row]:
    for name, value in record.probes.items():
        yield record.id, name, value


def _columns(**types: str) -> tuple[tuple[str, str], ...]:
    return ("record", TEXT), *types.items()


VIEWS = (
    View(
        "records",
        "one row a record: the cell, how its attempt ended, the machine; spec and environment as JSON",
        _columns(
            created=TIME,
            task=TEXT,
            name=TEXT,
            role=TEXT,
            seed=INTEGER,
            status=TEXT,
            error=TEXT,
            attempt=INTEGER,
            cell=TEXT,
            parameters=INTEGER,
            steps=INTEGER,
            training_seconds=REAL,
            training_tokens=INTEGER,
            dev_loss=REAL,
            hardware=TEXT,
            host=TEXT,
            cpu=TEXT,
            gpu=TEXT,
            commit=TEXT,
            dirty=TRUTH,
            python=TEXT,
            torch=TEXT,
            transformers=TEXT,
            data_revision=TEXT,
            spec_hash=TEXT,
            outputs=TEXT,
            exporter=TEXT,
            spec=JSON,
            environment=JSON,
        ),
        _records,
    ),
    View(
        "quality",
        "one row a score; number 0 is the metric that ranks; low and high bound the 95% interval",
        _columns(
            number=INTEGER,
            metric=TEXT,
            value=REAL,
            low=REAL,
            high=REAL,
            unit=TEXT,
            direction=TEXT,
            split=TEXT,
            examples=INTEGER,
            signature=TEXT,
        ),
        _quality,
    ),
    View(
        "performance",
        "one row a device: seconds, bytes, joules",
        _columns(
            device=TEXT,
            device_kind=TEXT,
            threads=INTEGER,
            dtype=TEXT,
            attention=TEXT,
            latency_samples=INTEGER,
            latency_processes=INTEGER,
            latency=REAL,
            latency_minimum=REAL,
            latency_maximum=REAL,
            latency_p90=REAL,
            latency_p99=REAL,
            device_time=REAL,
            encode=REAL,
            decode_per_token=REAL,
            memory_kind=TEXT,
            memory_peak=INTEGER,
            memory_before_load=INTEGER,
            memory_after_load=INTEGER,
            memory_reserved=INTEGER,
            memory_device=INTEGER,
            energy_joules=REAL,
            energy_seconds=REAL,
            energy_tokens=INTEGER,
            calibration_before=REAL,
            calibration_after=REAL,
            training_tokens_per_second=REAL,
            training_steps_per_second=REAL,
            training_memory_kind=TEXT,
            training_memory_peak=INTEGER,
            training_memory_before=INTEGER,
            training_memory_reserved=INTEGER,
            optimizer_state_bytes=INTEGER,
            disk_bytes=INTEGER,
        ),
        _performance,
    ),
    View(
        "throughput",
        "one row a device and batch size",
        _columns(
            device=TEXT,
            device_kind=TEXT,
            batch=INTEGER,
            status=TEXT,
            tokens_per_second=REAL,
            sentences_per_second=REAL,
        ),
        _throughput,
    ),
    View(
        "curve",
        "one row a logged point of training",
        _columns(
            step=INTEGER,
            loss=REAL,
            dev_loss=REAL,
            learning_rate=REAL,
            gradient_norm=REAL,
            clipped_norm=REAL,
            clipped_fraction=REAL,
            update_clipped_fraction=REAL,
            averaged_dev_loss=REAL,
        ),
        _curve,
    ),
    View(
        "gradient_curve",
        "one row a number about a part of the gradients at a step of training",
        _columns(step=INTEGER, part=TEXT, measured=TEXT, value=REAL),
        _gradient_curve,
    ),
    View("probes", "one row a scalar of a probe", _columns(probe=TEXT, value=REAL), _probes),
    View(
        "probe_curve",
        "one row a scalar of a probe at a step of training, on the development split",
        _columns(step=INTEGER, probe=TEXT, value=REAL),
        _probe_curve,
    ),
    View(
        "probe_series",
        "one row a value of a probe along an axis; x where the places are numbers, label where they are names",
        _columns(series=TEXT, line=TEXT, place=INTEGER, x=REAL, label=TEXT, value=REAL, axis=TEXT, unit=TEXT),
        _probe_series,
    ),
)


def _median(measured: Distribution | None) -> float | None:
    return None if measured is None else measured.median


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _moment(text: str) -> datetime | None:
    """UTC, as SQL's TIMESTAMP has it; None where it is no time."""
    try:
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None
