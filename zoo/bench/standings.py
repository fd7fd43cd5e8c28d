"""Which records count: from every attempt at every cell to one standing per model and data revision.

The rules, which the pages repeat for their readers:

- Records of one name whose specs differ (other than in seed and description) are different models; the newest counts.
- Of each seed, the newest ok record counts. A score is the mean over seeds.
- A cell that has no ok record is a failure; it is listed until a newer record with its seed is ok.
- Performance comes from the same records, one value per device; devices never share a column.
- What a peer computes in is its own matter: it stands beside the models that were measured on the same device.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from statistics import median
from typing import Any, NamedTuple

from zoo.bench.record import Performance, Quality, Record

_NOT_THE_MODEL = ("seed", "description")
"""Keys of a spec that two runs of one model may differ in."""


class MetricKey(NamedTuple):
    """Scores compare only where all of this is the same."""

    metric: str
    split: str
    unit: str
    direction: str
    signature: str
    examples: int

    def worse(self, value: float) -> float:
        """A number that grows as a score gets worse, so that the least one is the best."""
        return -value if self.direction == "higher" else value


class DeviceKey(NamedTuple):
    """Measurements compare only where all of this is the same."""

    kind: str
    device: str
    threads: int | None
    dtype: str

    @property
    def label(self) -> str:
        parts = [self.device]
        if self.threads is not None:
            parts.append(f"{self.threads} thread{'' if self.threads == 1 else 's'}")
        return ", ".join([*parts, self.dtype])


@dataclass(frozen=True)
class Summary:
    """One quantity over the seeds that have it."""

    values: tuple[float, ...]
    intervals: tuple[tuple[float, float], ...] = ()

    @property
    def mean(self) -> float:
        return sum(self.values) / len(self.values)

    @property
    def median(self) -> float:
        return median(self.values)

    @property
    def low(self) -> float:
        return min(self.values)

    @property
    def high(self) -> float:
        return max(self.values)

    @property
    def seeds(self) -> int:
        return len(self.values)

    @property
    def interval(self) -> tuple[float, float] | None:
        """The narrowest interval that covers every seed's own 95% interval; None where a seed has none."""
        if len(self.intervals) < len(self.values):
            return None
        return min(low for low, _ in self.intervals), max(high for _, high in self.intervals)


@dataclass(frozen=True, eq=False)
class Standing:
    """What is known of one model on one data revision."""

    task: str
    role: str
    name: str
    data_revision: str
    counted: tuple[Record, ...]
    """The newest ok record of each seed, in the order of the seeds."""
    failed: tuple[Record, ...]
    """The newest record of each cell that has no ok record, newest first."""
    superseded: int
    """Records of the same name whose spec is an earlier one."""
    precisions: Mapping[tuple[str, str, int | None], str] = field(default_factory=dict)
    """Of a peer or an export: the precision of the models that it stands beside, by kind, device and threads."""

    @property
    def shown(self) -> tuple[Record, ...]:
        """The records whose values are shown: those that count, or else the newest failure."""
        return self.counted or self.failed[:1]

    @property
    def exported(self) -> bool:
        """Whether what was evaluated and measured is an export of the model."""
        return any(record.export is not None for record in self.shown)

    @property
    def status(self) -> str:
        return "ok" if self.counted else self.failed[0].status

    @property
    def newest(self) -> Record:
        return max((*self.counted, *self.failed), key=order)

    def quality(self) -> dict[MetricKey, Summary]:
        scores: dict[MetricKey, list[Quality]] = defaultdict(list)
        for record in self.shown:
            for key, score in _scores(record).items():
                scores[key].append(score)
        return {
            key: Summary(tuple(item.value for item in items), tuple(item.interval for item in items if item.interval))
            for key, items in scores.items()
        }

    def performance(self) -> dict[DeviceKey, list[Performance]]:
        """Measurements by device, one per seed."""
        found: dict[DeviceKey, list[Performance]] = defaultdict(list)
        for record in self.shown:
            for key, item in {device_key(item, record.environment): item for item in record.performance}.items():
                found[self._beside(key)].append(item)
        return dict(found)

    def _beside(self, key: DeviceKey) -> DeviceKey:
        """Where what was measured on `key` stands."""
        return key._replace(dtype=self.precisions.get(key[:3], key.dtype))

    def dev_loss(self) -> Summary | None:
        """The last development loss of each seed's training; None where no record has one."""
        found = [loss for record in self.shown if (loss := final_dev_loss(record)) is not None]
        return Summary(tuple(found)) if found else None

    def training_seconds(self) -> dict[DeviceKey, Summary]:
        """Training times by the device that trained: the one whose training throughput was recorded."""
        found: dict[DeviceKey, list[float]] = defaultdict(list)
        for record in self.shown:
            key = training_device(record)
            if key is not None and record.training_seconds is not None:
                found[self._beside(key)].append(record.training_seconds)
        return {key: Summary(tuple(values)) for key, values in found.items()}


def order(record: Record) -> tuple[datetime, int, str]:
    """Sorts records from old to new. A date that cannot be read counts as the oldest."""
    return moment(record) or datetime.min.replace(tzinfo=UTC), record.attempt, record.id


def moment(record: Record) -> datetime | None:
    """When the record was made, in UTC; None where its date cannot be read."""
    try:
        found = datetime.fromisoformat(record.created)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def device_key(item: Performance, environment: Mapping[str, Any]) -> DeviceKey:
    """The column that a measurement belongs to. CPUs are told apart by their model and the threads used."""
    device = item.device
    if item.device_kind == "cpu":
        processor = environment.get("cpu")
        if isinstance(processor, str) and processor.strip() and device.lower() == "cpu":
            device = f"CPU {processor.strip()}"
    return DeviceKey(item.device_kind, device, item.threads if item.device_kind == "cpu" else None, item.dtype)


def training_device(record: Record) -> DeviceKey | None:
    trained = [item for item in record.performance if item.training_tokens_per_second is not None]
    candidates = trained or record.performance
    return device_key(candidates[0], record.environment) if len(candidates) == 1 else None


def final_dev_loss(record: Record) -> float | None:
    """The last development loss of a record's curve, of the averaged weights where there are any; None without one."""
    for point in reversed(record.curve):
        if point.dev_loss is not None:
            return point.dev_loss if point.averaged_dev_loss is None else point.averaged_dev_loss
    return None


def standings(records: Iterable[Record]) -> list[Standing]:
    """One standing per task, role, name and data revision, in the order of these."""
    groups: dict[tuple[str, str, str, str], list[Record]] = defaultdict(list)
    for record in records:
        groups[record.task, record.role, record.name, record.data_revision].append(record)
    found = [_standing(key, sorted(group, key=order, reverse=True)) for key, group in sorted(groups.items())]
    if not any(map(_is_guest, found)):
        return found
    models = [item for item in found if item.role == "model"]
    hosts = _precisions([item for item in models if not item.exported])
    # Where all are exports, the closest to the model has the others beside it.
    exports = _precisions(models)
    return [
        replace(item, precisions=exports[item.task, item.data_revision] | hosts[item.task, item.data_revision])
        if _is_guest(item)
        else item
        for item in found
    ]


def _is_guest(item: Standing) -> bool:
    """Whether it stands in the columns of the models beside it, whatever it computes in."""
    return item.role == "peer" or item.exported


def _precisions(found: Iterable[Standing]) -> dict[tuple[str, str], dict[tuple[str, str, int | None], str]]:
    """By task and data revision: the precision of those that were measured on a device; of several float32, else the
    first by name."""
    used: dict[tuple[str, str], dict[tuple[str, str, int | None], str]] = defaultdict(dict)
    for item in found:
        for key in item.performance():
            there = used[item.task, item.data_revision]
            there[key[:3]] = min(there.get(key[:3], key.dtype), key.dtype, key=lambda name: (name != "float32", name))
    return used


def _standing(key: tuple[str, str, str, str], newest_first: Sequence[Record]) -> Standing:
    # The machine's failures say nothing of which spec is current, unless there is nothing else.
    telling = next((record for record in newest_first if record.status != "infra"), newest_first[0])
    current = [record for record in newest_first if _model(record) == _model(telling)]
    counted: dict[int, Record] = {}
    for record in current:
        if record.status == "ok":
            counted.setdefault(record.seed, record)
    answered = {record.cell for record in current if record.status == "ok"}
    failed: dict[str, Record] = {}
    for record in current:
        superseded = record.seed in counted and order(counted[record.seed]) > order(record)
        if record.cell not in answered and not superseded:
            failed.setdefault(record.cell, record)
    task, role, name, revision = key
    return Standing(
        task,
        role,
        name,
        revision,
        tuple(counted[seed] for seed in sorted(counted)),
        tuple(failed.values()),
        len(newest_first) - len(current),
    )


def _model(record: Record) -> str:
    """What must agree for two records to be seeds of one model."""
    spec = {key: value for key, value in record.spec.items() if key not in _NOT_THE_MODEL}
    return json.dumps(spec, sort_keys=True, default=str)


def _scores(record: Record) -> dict[MetricKey, Quality]:
    return {
        MetricKey(item.metric, item.split, item.unit, item.direction, item.signature, item.examples): item
        for item in record.quality
    }


def metric_order(found: Iterable[Standing]) -> list[MetricKey]:
    """The metrics of `found`: first the one that ranks, which most models list first; then as the records list them."""
    first: dict[MetricKey, int] = defaultdict(int)
    place: dict[MetricKey, int] = {}
    for standing in found:
        for record in standing.shown:
            for index, key in enumerate(_scores(record)):
                first[key] += index == 0 and standing.status == "ok"
                place[key] = min(place.get(key, index), index)
    ranking = min(first, key=lambda key: (-first[key], place[key], key), default=None)
    return sorted(place, key=lambda key: (key != ranking, place[key], key))
