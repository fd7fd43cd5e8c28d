"""What the compare page reads: an index of models, scripts with their facts, and one with each model's outputs.

Texts of strangers are values, never keys, and pages insert them as text. Examples that several models share stand in
one script; a site holds so many bytes of outputs and no more.
"""

from __future__ import annotations

import hashlib
import json
import math
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.bench.outputs import MetricOutputs, Outputs, read_outputs
from zoo.bench.record import Performance, Record
from zoo.bench.standings import Standing, Summary, metric_order, order
from zoo.bench.store import Problem
from zoo.errors import ZooError
from zoo.site import figures
from zoo.site.board import Board
from zoo.site.columns import interval_text, metric_label
from zoo.site.device_columns import in_seconds
from zoo.site.languages import languages
from zoo.site.model_page import ModelPage
from zoo.site.naming import one_line, printable
from zoo.site.script_data import script_call

FUNCTION = "zooData"
LONGEST_TEXT = 1000
"""Characters of a source, reference or output that the page shows."""
MOST_EXAMPLES = 20_000
MOST_BYTES = 256 * 2**20
"""Of outputs in one site. The best models of each board come first."""
_TOGETHER = 25
"""Models in one script: thousands of small files would be slow to write and to copy."""
_NO_ROOM = "Its outputs are left out of this site to keep it small; the record's Parquet file has them."
_SPEC_LINES, _SPEC_TEXT, _SPEC_DEPTH = 2000, 300, 40
_NOT_COMPARED = ("name", "description", "seed")
_STATES = {"baseline": "baseline", "peer": "not trained here"}
"""What stands beside a name in place of its status, by role."""

File = tuple[str, str]


@dataclass
class CompareData:
    """Makes the scripts of `models`; `problems` gathers outputs that could not be read."""

    boards: Sequence[Board]
    models: Sequence[ModelPage]
    store: Path | None
    problems: list[Problem]

    def files(self) -> Iterator[File]:
        """Relative name and text of every script, the index last."""
        by_slug = {model.slug: model for model in self.models}
        notes: dict[str, str] = {}
        examples: dict[str, str] = {}
        room, written = MOST_BYTES, set[str]()
        for slug in self._best_first():
            found = self._outputs(by_slug[slug].standing)
            if isinstance(found, str):
                notes[slug] = found
                continue
            digest, shared, own = output_scripts(slug, *found)
            size = len(own) + (0 if digest in written else len(shared))
            if size > room:
                notes[slug] = _NO_ROOM
                continue
            room, examples[slug] = room - size, digest
            yield f"data/{slug}.outputs.js", own
            if digest not in written:
                written.add(digest)
                yield f"data/{digest}.examples.js", shared
        index = []
        for board in self.boards:
            entries = []
            slugs = _slugs(board)
            for start in range(0, len(slugs), _TOGETHER):
                name, together = f"{board.slug}.{start // _TOGETHER + 1}", slugs[start : start + _TOGETHER]
                facts = [[slug, model_facts(by_slug[slug], notes.get(slug, ""))] for slug in together]
                yield f"data/{name}.js", script_call(FUNCTION, name, facts)
                for slug in together:
                    standing = by_slug[slug].standing
                    known = standing.role == "baseline" or standing.status == "ok"
                    state = _STATES.get(standing.role, standing.status) if known else standing.status
                    entries.append([slug, one_line(standing.name), state, examples.get(slug, ""), name])
            index.append([one_line(board.task), board.slug, entries])
        yield "data/index.js", script_call(FUNCTION, "index", index)

    def _best_first(self) -> list[str]:
        """The slugs of all models: the first of every board, the second of every board, and so on."""
        places: dict[str, int] = {}
        for board in self.boards:
            for place, slug in enumerate(_slugs(board)):
                places[slug] = place
        return sorted(places, key=lambda slug: (places[slug], slug))

    def _outputs(self, standing: Standing) -> tuple[Record, Outputs] | str:
        """The newest outputs that were published, or why there are none."""
        with_outputs = [record for record in standing.shown if record.outputs is not None]
        if not with_outputs:
            return "Its records have no per-example outputs."
        if self.store is None:
            return "This site was built without the folder of its records, and so without their outputs."
        record = max(with_outputs, key=order)
        try:
            return record, read_outputs(self.store, record)
        except ZooError as error:
            assert record.outputs is not None
            self.problems.append(Problem(self.store / record.outputs.file, str(error)))
            return "Its file of outputs is missing or damaged."


def _slugs(board: Board) -> list[str]:
    """Every model of the board in its order, newest data first; a model of several data once."""
    return list(dict.fromkeys(row.page for table in board.tables for row in table.rows))


def model_facts(model: ModelPage, note: str) -> dict[str, object]:
    """Everything but the outputs. Rows that two models share have equal keys."""
    standing = model.standing
    record = standing.shown[0]
    return {
        "name": one_line(standing.name),
        "role": standing.role,
        "status": standing.status,
        "argument": shlex.quote(f"{one_line(standing.task)}:{one_line(standing.name)}"),
        "records": [item.id for item in standing.shown],
        "data": one_line(standing.data_revision),
        "languages": languages(standing.task),
        "note": note,
        "facts": list(_facts(standing, record)),
        "scores": list(_scores(standing)),
        "devices": [
            [one_line(key.label), list(_measures(measured, standing.training_seconds().get(key)))]
            for key, measured in sorted(standing.performance().items())
        ],
        "spec": list(_flat(record.spec)),
    }


def _row(key: str, label: str, better: str, value: float | None, text: str, detail: str = "") -> list[object]:
    value = None if value is None or not math.isfinite(value) else value
    return [key, label, better, value, text, detail]


def _facts(standing: Standing, record: Record) -> Iterator[list[object]]:
    parameters = next((item.parameters for item in standing.shown if item.parameters is not None), None)
    if parameters is not None:
        yield _row("parameters", "Parameters", "lower", parameters, figures.count(parameters))
    if record.steps is not None:
        yield _row("steps", "Optimizer steps", "", record.steps, figures.fixed(record.steps, 0))
    if record.peer is not None:
        yield _row("engine", "Not trained here", "", None, f"{record.peer.engine} {record.peer.version}")
    else:
        yield _row("seeds", "Seeds", "", None, ", ".join(str(item.seed) for item in standing.shown))


def _scores(standing: Standing) -> Iterator[list[object]]:
    summaries = standing.quality()
    metrics = metric_order([standing])
    for key in metrics:
        summary = summaries[key]
        label = f"{metric_label(key, metrics)} ({one_line(key.unit)})"
        yield _row(
            json.dumps(key),
            label,
            key.direction,
            figures.as_float(summary.mean),
            figures.score(summary.mean, key.unit),
            interval_text(summary, key.unit),
        )


def _measures(measured: Sequence[Performance], training: Summary | None) -> Iterator[list[object]]:
    """Medians over the seeds, as on the board."""

    def median(
        key: str, label: str, better: str, values: list[float], text: Callable[[float], str]
    ) -> Iterator[list[object]]:
        if values:
            summary = Summary(tuple(values))
            low, high = text(summary.low), text(summary.high)
            detail = "" if low == high else f"{low} to {high}"
            yield _row(key, label, better, summary.median, text(summary.median), detail)

    for field, label in (
        ("latency", "Latency of one source (ms)"),
        ("device_time", "Device time of one source (ms)"),
        ("encode", "Encoding one source (ms)"),
        ("decode_per_token", "Decoding, a token (ms)"),
    ):
        found = [item for one in measured if (item := getattr(one, field)) is not None]
        times = [time for item in found if (time := in_seconds(item.median, item.unit)) is not None]
        yield from median(field, label, "lower", times, figures.milliseconds)
    for batch in sorted({rate.batch for one in measured for rate in one.throughput}):
        rates = [
            rate.tokens_per_second
            for one in measured
            for rate in one.throughput
            if rate.batch == batch and rate.tokens_per_second is not None
        ]
        held = [rate.status == "ok" for one in measured for rate in one.throughput if rate.batch == batch]
        if not rates and any(held):
            continue  # it writes no tokens that are counted
        label = f"Tokens a second, batch {batch:,}"
        yield from median(f"throughput {batch}", label, "higher", rates, figures.significant)
        if not rates:
            yield _row(f"throughput {batch}", label, "higher", None, "out of memory")
    for kind in sorted({one.memory.kind for one in measured if one.memory is not None}):
        peaks = [figures.as_float(m.peak) for one in measured if (m := one.memory) is not None and m.kind == kind]
        yield from median(f"memory {kind}", f"Peak memory (MiB, {one_line(kind)})", "lower", peaks, figures.mebibytes)
    if training is not None:
        yield from median("training", "Training time", "lower", list(training.values), figures.duration)


def _flat(spec: Mapping[str, Any]) -> Iterator[list[str]]:
    """``["model.position.use", "zoo-positional/rotary"]`` for every value of the spec."""
    left = _SPEC_LINES

    def walk(value: Any, path: tuple[str, ...]) -> Iterator[list[str]]:
        nonlocal left
        if left <= 0:
            return
        if isinstance(value, Mapping) and value and len(path) < _SPEC_DEPTH:
            for name, item in value.items():
                yield from walk(item, (*path, str(name)[:_SPEC_TEXT]))
        elif isinstance(value, (list, tuple)) and value and len(path) < _SPEC_DEPTH:
            for index, item in enumerate(value):
                yield from walk(item, (*path, str(index)))
        else:
            left -= 1
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)[:_SPEC_TEXT]
            yield [one_line(".".join(path))[:_SPEC_TEXT], one_line(text[:_SPEC_TEXT])]

    for name, item in spec.items():
        if name not in _NOT_COMPARED:
            yield from walk(item, (str(name),))


def output_scripts(slug: str, record: Record, outputs: Outputs) -> tuple[str, str, str]:
    """The digest of the examples, their script, and the script of this model's outputs."""
    most = min(len(outputs.ids), MOST_EXAMPLES)
    ids = [one_line(text)[:200] for text in outputs.ids[:most]]
    sources, references, texts = (
        None if column is None else [shortened(text) for text in column[:most]]
        for column in (outputs.sources, outputs.references, outputs.outputs)
    )
    shared = {"ids": ids, "sources": sources, "references": references}
    digest = hashlib.sha256(json.dumps([outputs.ids, outputs.sources, outputs.references]).encode()).hexdigest()[:20]
    own = {
        "record": record.id,
        "seed": record.seed,
        "split": one_line(outputs.split),
        "data": one_line(outputs.data_revision),
        "examples": len(outputs.ids),
        "metrics": [_metric(metric, most) for metric in outputs.metrics],
        "outputs": texts,
    }
    return (
        digest,
        script_call(FUNCTION, f"{digest}.examples", shared),
        script_call(FUNCTION, f"{slug}.outputs", own),
    )


def shortened(text: str) -> str | list[object]:
    """`text`, or its beginning and its full length where it is too long for a page."""
    shown = printable(text[: LONGEST_TEXT + 1])
    return shown if len(text) <= LONGEST_TEXT else [shown[:LONGEST_TEXT], len(text)]


def _metric(metric: MetricOutputs, most: int) -> list[object]:
    scores: Iterable[float] = metric.scores[:most].tolist()
    rounded = [float(f"{value:.7g}") if math.isfinite(value) else None for value in scores]
    signature = one_line(metric.signature)
    key = json.dumps([metric.metric, metric.signature, metric.unit, metric.direction, metric.component], default=str)
    return [key, one_line(metric.metric), one_line(metric.unit), metric.direction, signature, rounded]
