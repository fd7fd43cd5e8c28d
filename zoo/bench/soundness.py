"""What a record and the files beside it claim, checked against one another: the gate of a results submission.

Nothing is run again. What can be computed from the files is computed: hashes, keys, medians, and scores from what each
example contributed.
"""

from __future__ import annotations

import hashlib
import math
import statistics
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from zoo.atomic import TEMPORARY_PREFIX
from zoo.bench.cell import key_of_record
from zoo.bench.outputs import SUFFIX, Outputs, read_outputs
from zoo.bench.publish import names_the_machine
from zoo.bench.record import Distribution, Performance, Quality, Record
from zoo.bench.rescoring import metric_of, rescored
from zoo.bench.store import Problem, RecordStore
from zoo.errors import ZooError
from zoo.spec.load import canonical

TOLERANCE = 1e-6
"""By how much a recorded score may differ from the one computed anew, relative to it where it is above 1."""
_EXPECTED_FILES = {"README.md"}


@dataclass(frozen=True)
class StoreReport:
    """What `check_store` found. A problem is a claim that does not hold; a warning is for a person to look at."""

    records: int
    older: int
    """Records of an older schema, which were read as today's."""
    outputs: int
    """Files of per-example outputs that are what their records say."""
    recomputed: int
    """Scores that the examples' contributions gave again."""
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def check_store(folder: Path | str) -> StoreReport:
    """Check every record of a store and every file beside it. Raises InputError where the folder is none."""
    folder = Path(folder)
    reading = RecordStore(folder).read()
    problems, warnings = list(reading.problems), []
    found: Counter[str] = Counter()
    missing: Counter[str] = Counter()
    for record in reading.records:
        path = folder / f"{record.id}.json"
        problems += [Problem(path, text) for text in contradictions(record)]
        if record.outputs is not None:
            problems += _check_outputs(folder, record, found, missing)
    for name, count in sorted(missing.items()):
        warnings.append(Problem(folder, f"{count} scores were not computed again: {name}"))
    telling = [record.id for record in reading.records if names_the_machine(record)]
    if telling:
        text = f"{len(telling)} records name their machine or its folders: 'zoo records publish' leaves that out"
        warnings.append(Problem(folder / f"{telling[0]}.json", text))
    strange = list(_strange_files(folder, reading.records, {problem.path.name for problem in problems}))
    problems += [problem for problem, is_problem in strange if is_problem]
    warnings += [problem for problem, is_problem in strange if not is_problem]
    return StoreReport(
        len(reading.records),
        len(reading.older),
        found["outputs"],
        found["scores"],
        tuple(sorted(problems, key=str)),
        tuple(warnings),
    )


def contradictions(record: Record) -> Iterator[str]:
    """What a record says that cannot all be true: one line for each, the outputs beside it aside."""
    yield from _wrong_attempt(record)
    yield from _wrong_hashes(record)
    for number, score in enumerate(record.quality):
        yield from (f"quality.{number} ({score.metric}): {text}" for text in _wrong_score(score))
    for name, series in record.probe_series.items():
        for line, values in series.lines.items():
            if len(values) != len(series.x):
                yield f"probe_series.{name}: the line '{line}' has {len(values)} values for {len(series.x)} places"
    for number, part in enumerate(record.performance):
        yield from (f"performance.{number}.{text}" for text in _wrong_performance(part))


def _wrong_attempt(record: Record) -> Iterator[str]:
    if record.status == "ok" and record.error is not None:
        yield "status ok with an error"
    if record.status != "ok" and not (record.error or "").strip():
        yield f"status {record.status} without an error that says why"
    if record.error is not None and len(record.error.splitlines()) > 1:
        yield "error: expected one line"
    if record.status == "ok" and not record.quality:
        yield "status ok, and no score"
    try:
        created = datetime.fromisoformat(record.created)
    except ValueError:
        yield f"created: '{record.created[:40]}', expected a time as ISO 8601 writes it"
    else:
        if created.utcoffset() not in (None, timedelta(0)):
            yield f"created: '{record.created[:40]}', expected UTC"


def _wrong_hashes(record: Record) -> Iterator[str]:
    spec = record.spec
    if (record.role == "peer") != (record.peer is not None):
        yield f"role {record.role} {'without' if record.peer is None else 'with'} what ran of a peer"
    if record.role != "baseline":
        for name, value in (("name", record.name), ("seed", record.seed)):
            if spec.get(name) != value:
                yield f"{name}: {value!r:.60}, but the spec says {spec.get(name)!r:.60}"
    if "model" in spec or record.role == "peer":
        told = {key: value for key, value in spec.items() if key not in {"name", "description"}}
        expected = "sha256:" + hashlib.sha256(canonical(told)).hexdigest()
    else:
        expected = f"sha256:{record.cell}"  # a baseline without a model is known by its key
    if record.spec_hash != expected:
        yield f"spec_hash: '{record.spec_hash[:80]}', expected {expected}"
    key = key_of_record(record)
    if key is not None and key != record.cell:
        yield (
            f"cell: '{record.cell[:80]}', but spec, seed, data revision, distributions and hardware class give {key}: "
            "one of them was changed"
        )


def _wrong_score(score: Quality) -> Iterator[str]:
    if score.interval is None:
        return
    low, high = score.interval
    slack = TOLERANCE * max(1.0, abs(score.value))
    if low > high:
        yield f"the interval ends ({high}) before it begins ({low})"
    elif not low - slack <= score.value <= high + slack:
        yield f"the value {score.value} lies outside its interval [{low}, {high}]"


def _wrong_performance(part: Performance) -> Iterator[str]:
    for name in ("latency", "device_time", "encode", "decode_per_token"):
        measured: Distribution | None = getattr(part, name)
        if measured is not None:
            yield from (f"{name}: {text}" for text in _wrong_distribution(measured))
    for rate in part.throughput:
        # What writes no tokens, such as a detector, is counted by its outputs alone.
        speed, counted = rate.tokens_per_second, "tokens"
        if speed is None and rate.sentences_per_second is not None:
            speed, counted = rate.sentences_per_second, "outputs"
        if (rate.status == "ok") != (speed is not None):
            yield f"throughput: batch {rate.batch} has status {rate.status} and {speed} {counted} a second"


def _wrong_distribution(measured: Distribution) -> Iterator[str]:
    values, median = measured.values, measured.median
    if not measured.minimum <= median <= measured.maximum:
        yield f"the median {median} lies outside [{measured.minimum}, {measured.maximum}]"
    if measured.p90 is not None and measured.samples < 100:
        yield f"a 90th percentile of {measured.samples} samples, expected 100 at least"
    if measured.p99 is not None and measured.samples < 1000:
        yield f"a 99th percentile of {measured.samples} samples, expected 1000 at least"
    if not values:
        return
    if len(values) != measured.samples:
        yield f"{len(values)} values, but {measured.samples} samples"
    claims: list[tuple[str, float, float]] = [
        ("minimum", measured.minimum, min(values)),
        ("maximum", measured.maximum, max(values)),
        ("median", median, statistics.median(measured.processes or values)),
    ]
    claims += [
        (f"p{q}", said, float(np.percentile(values, q)))
        for q, said in ((90, measured.p90), (99, measured.p99))
        if said is not None
    ]
    if measured.processes:
        # The values stand process by process, and each process takes as many.
        samples, left_over = divmod(len(values), len(measured.processes))
        if left_over or not samples:
            yield f"{len(values)} values of {len(measured.processes)} processes, which take equally many each"
        else:
            claims += [
                (f"median of process {index + 1}", said, statistics.median(values[index * samples :][:samples]))
                for index, said in enumerate(measured.processes)
            ]
    for name, said, expected in claims:
        if not math.isclose(said, expected, rel_tol=1e-9, abs_tol=1e-15):
            yield f"{name} {said}, but the values give {expected}"


def _check_outputs(folder: Path, record: Record, found: Counter[str], missing: Counter[str]) -> list[Problem]:
    """Problems of the file of outputs; what is well is counted in `found`, scores left aside in `missing`."""
    assert record.outputs is not None
    path = folder / record.outputs.file
    if record.outputs.file != f"{record.id}{SUFFIX}":
        own = folder / f"{record.id}.json"
        return [Problem(own, f"outputs: the file '{record.outputs.file}', expected '{record.id}{SUFFIX}'")]
    try:
        outputs = read_outputs(folder, record)
    except ZooError as error:
        return [Problem(path, str(error).removeprefix(f"{path}: "))]
    texts = list(_wrong_outputs(record, outputs))
    for metric, score in zip(outputs.metrics, record.quality, strict=False):
        try:
            value = rescored(metric_of(metric), metric)
        except ZooError as error:
            missing[str(error)] += 1
            continue
        except ValueError as error:
            texts.append(f"{score.metric}: {error}")
            continue
        if abs(value - score.value) <= TOLERANCE * max(1.0, abs(score.value)):
            found["scores"] += 1
        else:
            texts.append(f"{score.metric}: the examples give {value}, but the record says {score.value}")
    found["outputs"] += not texts
    return [Problem(path, text) for text in texts]


def _wrong_outputs(record: Record, outputs: Outputs) -> Iterator[str]:
    assert record.outputs is not None
    if outputs.data_revision != record.data_revision:
        yield f"data revision '{outputs.data_revision}', but the record has '{record.data_revision}'"
    if record.outputs.text != (outputs.outputs is not None):
        yield f"texts are {'missing' if record.outputs.text else 'there'}, against what the record says"
    scored = [(score.metric, score.signature, score.split, score.examples) for score in record.quality]
    kept = [(metric.metric, metric.signature, outputs.split, len(outputs.ids)) for metric in outputs.metrics]
    if scored != kept:
        yield f"metric, signature, split and examples are {kept}, but the record has {scored}"
    if len(set(outputs.ids)) < len(outputs.ids):
        yield "an example stands in it twice"


def _strange_files(folder: Path, records: tuple[Record, ...], named: set[str]) -> Iterator[tuple[Problem, bool]]:
    """Files that belong to no record, and whether each is a problem."""
    if not folder.is_dir():
        return
    owned = {f"{record.id}.json" for record in records} | {r.outputs.file for r in records if r.outputs is not None}
    for path in sorted(folder.iterdir()):
        name = path.name
        if name in owned or name in named or name in _EXPECTED_FILES or name.startswith(".git"):
            continue
        if name.startswith(TEMPORARY_PREFIX):
            yield Problem(path, "left by a writer that was killed, or is at work"), False
        elif name.endswith(".json") and path.is_symlink():
            yield Problem(path, "a link that leads nowhere"), True
        elif name.endswith(SUFFIX):
            yield Problem(path, "outputs without their record: a writer was killed between the two"), False
        else:
            yield Problem(path, "neither a record nor its outputs"), False
