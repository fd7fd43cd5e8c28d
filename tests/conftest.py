"""Records whose every claim holds, for tests of what reads them; and what the collector need not look through."""

from __future__ import annotations

import gc
import random
import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import pytest

SMOKE = Path(__file__).parents[1] / "benchmarks" / "specs" / "smoke.yaml"
SENTENCES = ("open the file", "close the window now", "a cell has a value", "print this page", "save it as a copy")
WORDS = ("open", "close", "save", "print", "file", "page", "table", "cell", "text", "image", "link", "style", "menu")
LATENCIES = (0.100, 0.101, 0.099, 0.102, 0.1005)
"""Medians of five fresh processes, in seconds."""


GLYPHS: dict[str, Any] = {
    "name": "glyphs",
    "seed": 3,
    "task": {"use": "glyphs"},
    "tokenizer": {"use": "byte-level", "vocab_size": 260},
    "model": {
        "architecture": "image-to-text",
        "d_model": 32,
        "heads": 4,
        "image": {
            "input": {"use": "native", "multiple": 2},
            "patch": {"height": 16, "width": 10},  # one letter
            "channels": 1,
            "patch_position": "fractional-fourier",
        },
        "encoder": {"layers": 1},
        "decoder": {"layers": 1},
        "position": "sinusoidal",
        "block": "pre-norm",
        "normalization": "layer-norm",
        "feedforward": {"use": "mlp", "width": 64, "activation": "relu"},
        "fusion": "top",
        "dropout": 0.0,
    },
    "training": {
        "steps": 8,
        "batch_tokens": 120,
        "objective": "cross-entropy",
        "optimizer": {"use": "adamw", "lr": 5e-3},
        "schedule": {"use": "inverse-sqrt", "warmup": 10},
        "clipping": {"use": "norm", "max_norm": 1.0},
        "log_every": 4,
    },
    "decoding": {"strategy": "greedy", "max_new_tokens": 8},
    "evaluation": {"metrics": ["cer", "exact-match"]},
    "measurement": {"processes": 1, "latency_samples": 2, "throughput_batches": [2]},
}
"""A small model that reads the images of the kit's own task."""


@pytest.fixture(scope="session")
def glyph_spec() -> Callable[..., Any]:
    """``glyph_spec(**{"training.steps": 5})``: a spec of the kit's image task, with values set by dotted path.

    To be asked where the registry has the task (`zoo.testing.glyphs.with_glyphs`).
    """
    return lambda **changes: _changed(GLYPHS, changes)


TRANSLATOR: dict[str, Any] = {
    "name": "tiny",
    "task": {
        "use": "translation",
        "corpus": {"use": "generated", "pairs": 120, "dev_pairs": 12, "test_pairs": 5, "vocabulary": 60},
        "source": "qaa",
        "target": "qab",
    },
    "tokenizer": {"use": "unigram", "vocab_size": 120},
    "model": {
        "d_model": 16,
        "heads": 2,
        "encoder": {"layers": 1},
        "decoder": {"layers": 1},
        "position": "sinusoidal",
        "block": "pre-norm",
        "normalization": "layer-norm",
        "feedforward": {"use": "mlp", "width": 24, "activation": "relu"},
        "fusion": "top",
        "max_positions": 64,
    },
    "training": {
        "steps": 0,
        "batch_tokens": 100,
        "objective": "cross-entropy",
        "optimizer": {"use": "adamw", "lr": 1e-3},
        "schedule": "constant",
        "clipping": "none",
    },
    "decoding": {"strategy": "greedy", "max_new_tokens": 12, "batch_size": 5},
    "evaluation": {"metrics": ["chrf"]},
}
"""A tiny encoder-decoder of generated text, untrained: what tests of exports and their commands begin with."""


@pytest.fixture(scope="session")
def translator_plain() -> Callable[..., dict[str, Any]]:
    """``translator_plain(**{"model.position": "rotary"})``: that spec as a file has it, with values set by dotted path;
    None takes a key away."""
    return lambda **changes: _plain(TRANSLATOR, changes)


def _changed(spec: dict[str, Any], changes: dict[str, Any]) -> Any:
    """`spec` resolved, with `changes` by dotted path; None takes a key away."""
    from zoo.spec import resolve

    return resolve(_plain(spec, changes))


def _plain(spec: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    from copy import deepcopy

    plain = deepcopy(spec)
    for path, value in changes.items():
        *parents, leaf = path.split(".")
        section = plain
        for name in parents:
            section = section.setdefault(name, {})
        section.pop(leaf, None) if value is None else section.update({leaf: value})
    return plain


SHAPES: dict[str, Any] = {
    "name": "shapes",
    "task": {"use": "shapes"},
    "model": {
        "architecture": "detector",
        "pixels": {"max_height": 48, "max_width": 64, "multiple": 16},
        "detector": {
            "use": "anchor-free",
            "matcher": "task-aligned",
            "box_loss": "giou",
            "width": 8,
            "neck": 16,
            "head_blocks": 1,
            "levels": [4, 8],
            "reg_max": 0,
        },
    },
    "training": {
        "steps": 8,
        "batch_tokens": 60,
        "optimizer": {"use": "adamw", "lr": 5e-3},
        "schedule": {"use": "inverse-sqrt", "warmup": 10},
        "clipping": {"use": "norm", "max_norm": 1.0},
        "log_every": 4,
    },
    "evaluation": {"metrics": [{"use": "map", "iou_thresholds": [0.5]}, "recall-by-size"]},
    "measurement": {"processes": 1, "latency_samples": 2, "warmup": 1, "throughput_batches": [2]},
}
"""A small detector of the boxes of the kit's own task."""


DIGITS: dict[str, Any] = {
    "name": "digits",
    "task": {"use": "stacked-digits", "classes": 3, "size": 16, "variants": 100, "train": 60, "dev": 20, "test": 30},
    "model": {"architecture": "generator", "generator": {"use": "consistency", "width": 4, "teacher_steps": 3}},
    "training": {
        "steps": 6,
        "batch_tokens": 8,
        "optimizer": {"use": "adamw", "lr": 1e-3},
        "schedule": {"use": "inverse-sqrt", "warmup": 10},
        "averaging": {"use": "ema", "decay": 0.5},
        "log_every": 1,
    },
    "generation": {"batch_size": 8},
    "evaluation": {"metrics": [{"use": "modes-covered", "classes": 3}, {"use": "mode-kl", "classes": 3}]},
    "measurement": {"processes": 1, "latency_samples": 2, "warmup": 1, "throughput_batches": [2]},
}
"""A small generator of digits."""


@pytest.fixture(scope="session")
def digits_spec() -> Callable[..., Any]:
    """``digits_spec(**{"training.steps": 5})``: a spec of a generator, with values set by dotted path."""
    return lambda **changes: _changed(DIGITS, changes)


@pytest.fixture(scope="session")
def digits_home(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A data home where the digits are rendered once."""
    from zoo.tasks import DataHome

    return DataHome(tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="session")
def shapes_spec() -> Callable[..., Any]:
    """``shapes_spec(**{"training.steps": 5})``: a spec of the kit's task of boxes, with values set by dotted path.

    To be asked where the registry has the task (`zoo.testing.shapes.with_shapes`).
    """
    return lambda **changes: _changed(SHAPES, changes)


@pytest.hookimpl(tryfirst=True)  # before -m leaves any out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`make slow` collects only files whose text has a mark or a suite of the kit in it: no test may be missed so."""
    for item in items:
        if any(item.get_closest_marker(mark) for mark in ("slow", "network", "browser")):
            text = _text(item.path)
            if not re.search(r"mark\.(slow|network|browser)|Suite|conformance_suites", text):
                raise pytest.UsageError(f"{item.nodeid}: make slow does not find its mark by the text of {item.path}")


@cache
def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


gc.disable()  # until all is collected and imported: next to nothing of it is garbage


def pytest_collection_finish() -> None:
    """Set aside what was collected and imported: millions of objects, all of which the collection at the end of every
    training run (accelerate's `free_memory`) would go through."""
    gc.collect()  # what is garbage already is not kept
    gc.freeze()
    gc.enable()


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
        "probe_series": {
            "shares.by_layer": {
                "axis": "layer",
                "unit": "share",
                "x": [1, 2],
                "lines": {"one": [0.25, None], "two": [0.75, 1.0]},
            },
            "mass.by_class": {"axis": "class", "unit": "share", "x": ["end", "word"], "lines": {"raw": [0.5, 0.5]}},
        },
        "curve": [
            {"step": 0, "probes": {"swap.difference": 0.0}},
            {"step": 20, "loss": 5.5, "clipped_norm": 1.5, "gradients": {"tokens 1-9.norm": 0.25}},
            {"step": 40, "loss": 5.25, "probes": {"swap.difference": 0.5, "swap.loss": 5.0}},
        ],
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


@pytest.fixture
def add_model(tmp_path: Path) -> Callable[..., Any]:
    """``add_model(store, "rotary", seed=1, errors=0.2)``: a good record with outputs, scored by real metrics.

    `errors` is the share of words that the outputs get wrong, by the draw of `seed` and `name`; every other field of a
    record can be given. With ``outputs=False`` there are only scores.
    """
    from pydantic import TypeAdapter

    from zoo.bench import Record, RecordStore, new_record_id
    from zoo.bench.outputs import MetricOutputs, Outputs, publish_outputs, write_outputs
    from zoo.bench.record import Quality
    from zoo.spec import Chosen, Slot

    slot: TypeAdapter[Chosen] = TypeAdapter(Annotated[Chosen, Slot("metric")])

    def add(
        store: Path,
        name: str = "rotary",
        *,
        seed: int = 1,
        errors: float = 0.3,
        examples: int = 80,
        metrics: Sequence[Any] = ("bleu", "exact-match"),
        outputs: bool = True,
        **changes: Any,
    ) -> Record:
        # The references are the test set: one for all. What goes wrong is each model's own.
        test_set, luck = random.Random(0), random.Random(f"{name} {seed} {errors}")
        references = [" ".join(test_set.choices(WORDS, k=test_set.randint(5, 15))) for _ in range(examples)]
        written = [
            " ".join(luck.choice(WORDS) if luck.random() < errors else word for word in text.split())
            for text in references
        ]
        kept, quality = [], []
        for choice in metrics:
            chosen = slot.validate_python(choice)
            metric = chosen.create()
            items = metric.items(written, references, references)
            score = metric.score_items(items)
            kept.append(
                MetricOutputs(
                    metric=score.metric,
                    signature=score.signature,
                    direction=score.direction,
                    unit=score.unit,
                    component=chosen.plain(),
                    items=tuple(items),
                    scores=metric.segments(items),
                )
            )
            quality.append(
                Quality(
                    metric=score.metric,
                    value=score.value,
                    direction=score.direction,
                    unit=score.unit,
                    signature=score.signature,
                    split="test",
                    examples=examples,
                    interval=score.interval,
                )
            )
        facts: dict[str, Any] = {
            "id": new_record_id(),
            "created": "2026-11-23T00:00:00.000+00:00",
            "cell": f"{name} {seed}".encode().hex().ljust(64, "0")[:64],
            "name": name,
            "task": "office-zh-en",
            "status": "ok",
            "seed": seed,
            "spec": {"name": name, "seed": seed},
            "spec_hash": "sha256:0",
            "data_revision": "sha256:1",
            "distributions": {"zoo-registry": "0.1.0"},
            "quality": quality,
            "environment": {"cpu": "Processor A"},
        }
        record = Record(**{**facts, **changes})
        if outputs and record.status == "ok":
            part = tmp_path / "written.parquet"
            ids = tuple(f"test-{number}" for number in range(examples))
            texts = tuple(references)
            found = Outputs("test", record.data_revision, ids, texts, texts, tuple(written), tuple(kept))
            write_outputs(part, found)
            record = record.model_copy(update={"outputs": publish_outputs(part, store, record.id)})
        RecordStore(store).append(record)
        return record

    return add


@pytest.fixture
def measured() -> Callable[..., dict[str, Any]]:
    """``measured(latency=1.2, rate=0.9)``: the performance of a model so many times as slow and as fast as another."""

    def make(latency: float = 1.0, rate: float = 1.0, peak: float = 1.0, **changes: Any) -> dict[str, Any]:
        processes = [time * latency for time in changes.pop("processes", LATENCIES)]
        middle = sorted(processes)[len(processes) // 2]
        facts: dict[str, Any] = {
            "device": "cpu",
            "device_kind": "cpu",
            "threads": 2,
            "dtype": "float32",
            "attention": "sdpa",
            "latency": {
                "unit": "s",
                "samples": 20 * len(processes),
                "median": middle,
                "minimum": min(processes),
                "maximum": max(processes),
                "processes": processes,
            },
            "throughput": [{"batch": 16, "tokens_per_second": 800.0 * rate}],
            "memory": {"kind": "rss", "peak": int(400 * 2**20 * peak)},
            "calibration": {"kernel": "matmul-512", "before": 0.0100, "after": 0.0101},
        }
        return {**facts, **changes}

    return make
