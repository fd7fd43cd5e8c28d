"""What benchmarks share: one thread, lines for a reader, and stores of many records, as years of benches leave them."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

MODELS, SEEDS = 50, 5
_POSITIONS = ("rotary", "alibi", "sinusoidal", "learned", "t5", "relative", "fire", "nope")
_NORMALIZATIONS, _ACTIVATIONS = ("layer-norm", "rms-norm"), ("relu", "gelu", "swiglu")
_OPTIMIZERS = ("adamw", "lion", "muon")
_FAILURES = {
    "collapsed": "one output for 98.7% of the inputs (13 distinct of 1,000; most frequent: 'the the the')",
    "nan": "the loss is not finite at step 340 (nan); gradient norm 4.1e+07 at step 339",
    "oom": "CUDA out of memory at batch 64: tried to allocate 2.00 GiB",
    "timeout": "3600 s passed and the cell was still training at step 812 of 1,200",
}
_SENTENCE = "please open the file and choose a cell range before you insert another chart into this sheet"
_EXAMPLES = 100


def _sentence(noise: random.Random) -> str:
    return " ".join(noise.choices(_SENTENCE.split(), k=noise.randint(6, 18))).capitalize() + "."


def _spec(task: str, name: str, model: int, seed: int) -> dict[str, Any]:
    return {
        "name": name,
        "description": f"Model {model} of the board of {task}, trained from nothing on the same sentences.",
        "seed": seed,
        "task": {
            "use": "zoo-tasks-text/translation",
            "corpus": {"use": "zoo-tasks-text/office-zh-en", "revision": None},
            "source": "zh",
            "target": "en",
            "max_examples": None,
        },
        "tokenizer": {"use": "zoo-tasks-text/unigram", "vocab_size": 4000, "normalization": "nfkc"},
        "model": {
            "architecture": "encoder-decoder",
            "d_model": (128, 256, 512)[model % 3],
            "heads": 4,
            "encoder": {"layers": 1 + model % 4, "position": None},
            "decoder": {"layers": 2, "position": None},
            "position": {"use": f"zoo-positional/{_POSITIONS[model % 8]}", "layout": "halves", "base": 10000.0},
            "block": {"use": "zoo-blocks/pre-norm"},
            "normalization": {"use": f"zoo-blocks/{_NORMALIZATIONS[model % 2]}", "eps": 1e-05, "bias": True},
            "feedforward": {"use": "zoo-blocks/mlp", "width": 256, "activation": {"use": _ACTIVATIONS[model % 3]}},
            "fusion": {"use": "zoo-fusion/top"},
            "dropout": 0.0,
            "tie_embeddings": "all",
            "max_positions": 512,
        },
        "training": {
            "steps": 1200,
            "batch_tokens": 1000,
            "objective": {"use": "zoo-objectives/label-smoothing", "epsilon": 0.1},
            "optimizer": {"use": f"zoo-optimizers/{_OPTIMIZERS[model % 3]}", "lr": 0.003, "weight_decay": 0.01},
            "schedule": {"use": "zoo-optimizers/inverse-sqrt", "warmup": 200},
            "clipping": {"use": "zoo-optimizers/norm", "max_norm": 1.0},
            "log_every": 20,
        },
        "decoding": {
            "strategy": {
                "use": "zoo-decoding/greedy",
                "no_repeat_ngram": 0,
                "repetition_penalty": 1.0,
                "min_new_tokens": 0,
            },
            "max_new_tokens": 80,
            "batch_size": 32,
        },
        "evaluation": {"split": "test", "metrics": [{"use": "zoo-tasks-text/bleu"}, {"use": "zoo-tasks-text/chrf"}]},
        "measurement": {"processes": 5, "latency_samples": 20, "warmup": 3, "throughput_batches": [1, 16, 64]},
    }


def _distribution(noise: random.Random, median: float) -> dict[str, Any]:
    values = [median * noise.uniform(0.95, 1.2) for _ in range(100)]
    middle = [sorted(values[start : start + 20])[10] for start in range(0, 100, 20)]
    return {
        "unit": "s",
        "samples": 100,
        "median": sorted(middle)[2],
        "minimum": min(values),
        "maximum": max(values),
        "p90": sorted(values)[90],
        "processes": middle,
        "values": values,
    }


def _performance(noise: random.Random, model: int, gpu: bool) -> dict[str, Any]:
    speed = (20.0 if gpu else 1.0) * (1 + model % 7)
    batches = [{"batch": size, "tokens_per_second": speed * 100 * size**0.7} for size in (1, 16)]
    fits = model % 5 != 0
    batches.append(
        {"batch": 64, "status": "ok" if fits else "oom", "tokens_per_second": speed * 1800 if fits else None}
    )
    return {
        "device": "NVIDIA H100 80GB HBM3" if gpu else "cpu",
        "device_kind": "cuda" if gpu else "cpu",
        "threads": 2,
        "dtype": "bfloat16" if gpu else "float32",
        "attention": "sdpa",
        "latency": _distribution(noise, 0.4 / speed),
        "throughput": batches,
        "memory": {"kind": "cuda-allocated" if gpu else "rss", "peak": noise.randint(90, 700) * 2**20},
        "calibration": {"kernel": "matmul 1024", "before": 0.0101, "after": 0.0102},
        "training_tokens_per_second": 5000.0 * speed,
        "optimizer_state_bytes": 58_802_176,
    }


def _quality(noise: random.Random, strength: float) -> list[dict[str, Any]]:
    return [
        {
            "metric": metric,
            "value": value,
            "direction": "higher",
            "unit": "points",
            "signature": signature,
            "split": "test",
            "examples": _EXAMPLES,
            "interval": (value - 1.2, value + 1.2),
        }
        for metric, value, signature in (
            ("BLEU", 4 + 26 * strength + noise.gauss(0, 0.4), "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp"),
            ("chrF", 14 + 40 * strength + noise.gauss(0, 0.4), "nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no"),
        )
    ]


_ENVIRONMENT = {
    "os": "Debian GNU/Linux 12 (bookworm)",
    "cpu": "AMD EPYC 7763 64-Core Processor",
    "cores_usable": 2,
    "threads": 2,
    "python": "3.11.2",
    "packages": {"torch": "2.13.0", "transformers": "5.23.0", "numpy": "2.3.4", "zoo-registry": "0.1.0"},
    "gpus": [],
    "load_average": {"before": [0.4, 0.3, 0.2], "after": [1.1, 0.8, 0.5]},
}


def _record(number: int, models: int, seeds: int) -> dict[str, Any]:
    """Record `number`: of every task all models, of every model all seeds."""
    noise = random.Random(number)
    seed, model, board = number % seeds + 1, number // seeds % models, number // (seeds * models)
    task, baseline = f"office-{board:02d}-zh-en", model >= models - 2
    name = f"control-{models - model}" if baseline else f"{_POSITIONS[model % 8]}-{_OPTIMIZERS[model % 3]}-{model:03d}"
    created = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=37 * (number * 7919 % 99991), microseconds=number)
    status = "ok" if baseline or number % 25 else list(_FAILURES)[number // 25 % 4]
    strength = model * 7 % models / models
    points = range(24, 1201, 24)
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    return {
        "schema": "zoo.record/5",
        "id": f"{created:%Y%m%dT%H%M%S}.{created.microsecond:06d}Z-{digest[:10]}",
        "created": created.isoformat(),
        "cell": f"sha256:{digest}",
        "name": name,
        "role": "baseline" if baseline else "model",
        "task": task,
        "status": status,
        "error": _FAILURES.get(status),
        "seed": seed,
        "spec": {} if baseline else _spec(task, name, model, seed),
        "spec_hash": f"sha256:{digest[::-1]}",
        "data_revision": "sha256:" + f"{board:02d}" * 32,
        "distributions": {"zoo-registry": "0.1.0", "zoo-positional": "0.1.0", "zoo-blocks": "0.1.0"},
        "parameters": 1_000_000 + 31_337 * model,
        "steps": 1200,
        "training_seconds": noise.uniform(100, 400),
        "quality": _quality(noise, 0.2 if status == "collapsed" else strength) if status in ("ok", "collapsed") else [],
        "performance": [_performance(noise, model, gpu) for gpu in (False, True)[: 1 + (model % 3 == 0)]]
        if status == "ok"
        else [],
        "probes": {
            name: noise.random() for name in ("distinct_output_ratio", "top_output_share", "length_ratio", "copy_ratio")
        },
        "curve": [
            {
                "step": step,
                "loss": 2.4 + 6.8 * 0.5 ** (step / 170) + noise.gauss(0, 0.05),
                "dev_loss": 2.6 + 6.8 * 0.5 ** (step / 170) if step % 240 == 0 else None,
                "learning_rate": min(step / 200, (200 / step) ** 0.5) * 1e-3,
                "gradient_norm": noise.uniform(1.0, 2.0),
                "clipped_fraction": 0.1,
            }
            for step in points
        ],
        "samples": [
            {
                "id": f"text/swriter/guide/{index:03d}.xhp#{index}",
                "source": "请在插入图表以前选择一个单元格区域，然后打开文件。",
                "reference": _sentence(random.Random(index)),
                "output": _sentence(noise),
            }
            for index in range(20)
        ],
        "environment": _ENVIRONMENT | {"host": f"bench-{number % 3}", "git": {"commit": digest[:40], "dirty": False}},
    }


def _outputs(folder: Path, record: dict[str, Any]) -> dict[str, Any]:
    """Write the per-example outputs of `record` beside it and give what the record says of them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    noise = random.Random(record["id"])
    columns: dict[str, Any] = {
        "id": [f"text/swriter/{index:04d}.xhp#1" for index in range(_EXAMPLES)],
        "source": ["请在插入图表以前选择一个单元格区域。"] * _EXAMPLES,
        "reference": [_sentence(random.Random(index)) for index in range(_EXAMPLES)],
        "output": [_sentence(noise) for _ in range(_EXAMPLES)],
    }
    metrics = []
    for quality in record["quality"]:
        metric = quality["metric"].lower()
        columns[f"items.{metric}"] = [[noise.random() * 10 for _ in range(10)] for _ in range(_EXAMPLES)]
        columns[f"score.{metric}"] = [noise.random() * 100 for _ in range(_EXAMPLES)]
        described = {key: quality[key] for key in ("metric", "signature", "direction", "unit")}
        metrics.append({"column": metric, **described, "component": {"use": f"zoo-tasks-text/{metric}"}})
    about = {"schema": "zoo.outputs/1", "record": record["id"], "split": "test", "metrics": metrics}
    about["data_revision"] = record["data_revision"]
    table = pa.table(columns).replace_schema_metadata({"zoo": json.dumps(about)})
    file = folder / f"{record['id']}.outputs.parquet"
    pq.write_table(table, file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return {"file": file.name, "sha256": digest, "examples": _EXAMPLES, "text": True}


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Figures and weights do not depend on how many cores the machine has."""
    import torch  # here, not above: pytest reads this file before it starts its workers, which would wait

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def say(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Print a line that pytest does not capture."""

    def show(line: str) -> None:
        with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            print(f"\n{line}")

    return show


@pytest.fixture(scope="session")
def write_store() -> Callable[..., Path]:
    """``write_store(folder, 10_000, models=50, seeds=5)``: a store of that many records on as many boards as they fill.

    Some failed; of every twentieth good one the outputs are kept; every third model was also measured on a GPU.
    """

    def write(folder: Path, records: int, models: int = MODELS, seeds: int = SEEDS) -> Path:
        folder.mkdir(parents=True)
        for number in range(records):
            record = _record(number, models, seeds)
            if record["status"] == "ok" and record["quality"] and int(record["cell"][-4:], 16) % 20 == 0:
                record["outputs"] = _outputs(folder, record)
            text = json.dumps(record, indent=1, ensure_ascii=False)
            (folder / f"{record['id']}.json").write_text(text + "\n", encoding="utf-8")
        return folder

    return write
