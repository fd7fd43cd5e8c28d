"""Records whose every claim holds, for tests of what reads them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SMOKE = Path(__file__).parents[1] / "benchmarks" / "specs" / "smoke.yaml"
SENTENCES = ("open the file", "close the window now", "a cell has a value", "print this page", "save it as a copy")


@pytest.fixture
def append_sound_record() -> Callable[..., Any]:
    """``append_sound_record(folder, seed=2, job="model", text=True, **changes)``: a record and its outputs.

    Made as a cell's process and its parent make them, from made-up outputs of five sentences; returns the record.
    """
    return _append


def _append(folder: Path, seed: int = 1, job: str = "model", text: bool = True, **changes: Any) -> Any:
    from zoo.bench import Record, RecordStore, new_record_id
    from zoo.bench.cell import BASELINE_SECTIONS, Cell
    from zoo.bench.outputs import MetricOutputs, Outputs, outputs_file, write_outputs
    from zoo.spec import load_spec, spec_hash
    from zoo.spec.lock import distributions_now

    spec = load_spec(SMOKE, [f"seed={seed}"])
    cell = Cell(spec, "sha256:" + "7" * 64, "cpu: Some CPU (2 threads)")
    record_id = new_record_id()
    sources = tuple(sentence.upper() for sentence in SENTENCES)
    outputs = (*SENTENCES[:3], "print that page", "save it")
    metrics, quality = [], []
    for chosen in spec.evaluation.metrics:
        metric = chosen.create()
        items = metric.items(outputs, SENTENCES, sources)
        score = metric.score_items(items)
        kept = {"metric": score.metric, "signature": score.signature, "direction": score.direction, "unit": score.unit}
        metrics.append(
            MetricOutputs(**kept, component=chosen.plain(), items=tuple(items), scores=metric.segments(items))
        )
        quality.append(
            {**kept, "value": score.value, "split": "test", "examples": len(SENTENCES), "interval": score.interval}
        )
    kept_texts = {"sources": sources, "references": SENTENCES, "outputs": outputs}
    path = folder / f"{record_id}.outputs.parquet"
    write_outputs(
        path,
        Outputs(
            split="test",
            data_revision=cell.data_revision,
            ids=tuple(f"text/{number}" for number in range(len(SENTENCES))),
            **(kept_texts if text else dict.fromkeys(kept_texts)),
            metrics=tuple(metrics),
            record=record_id,
        ),
    )
    values = [0.25, 0.125, 0.5, 0.375]
    facts: dict[str, Any] = {
        "id": record_id,
        "created": "2026-11-23T00:00:00.000+00:00",
        "cell": cell.key if job == "model" else cell.baseline_key(job),
        "name": spec.name if job == "model" else job,
        "role": "model" if job == "model" else "baseline",
        "task": "generated-qaa-qab",
        "status": "ok",
        "seed": seed,
        "spec": spec.plain() if job == "model" else {part: spec.plain()[part] for part in BASELINE_SECTIONS},
        "spec_hash": spec_hash(spec) if job == "model" else f"sha256:{cell.baseline_key(job)}",
        "data_revision": cell.data_revision,
        "hardware": cell.hardware if job == "model" else None,
        "distributions": distributions_now(spec),
        "quality": quality,
        "performance": [
            {
                "device": "cpu",
                "device_kind": "cpu",
                "threads": 2,
                "dtype": "float32",
                "attention": "sdpa",
                "latency": {
                    "unit": "s",
                    "samples": 4,
                    "median": 0.3125,
                    "minimum": 0.125,
                    "maximum": 0.5,
                    "processes": [0.1875, 0.4375],
                    "values": values,
                },
                "throughput": [
                    {"batch": 2, "tokens_per_second": 120.0},
                    {"batch": 64, "status": "oom"},
                ],
                "memory": {"kind": "rss", "peak": 10**9},
            }
        ],
        "probes": {"distinct_output_ratio": 1.0},
        "curve": [{"step": 20, "loss": 5.5}, {"step": 40, "loss": 5.25}],
        "samples": [{"id": "text/0", "source": sources[0], "reference": SENTENCES[0], "output": outputs[0]}]
        if text
        else [],
        "outputs": outputs_file(path),
        "environment": {
            "cpu": "Some CPU",
            "git": {"commit": "a" * 40, "dirty": False},
            "packages": {"torch": "2.13.0"},
        },
    }
    record = Record(**{**facts, **changes})
    RecordStore(folder).append(record)
    return record
