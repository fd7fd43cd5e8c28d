from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoo.bench import Record, new_record_id
from zoo.spec import Spec, load_spec

MakeRecord = Callable[..., Record]


def a_record(**changes: Any) -> Record:
    facts: dict[str, Any] = {
        "id": new_record_id(),
        "created": "2026-11-23T00:00:00.000+00:00",
        "cell": "c" * 64,
        "name": "rotary",
        "task": "office-zh-en",
        "status": "ok",
        "seed": 1,
        "spec": {"name": "rotary"},
        "spec_hash": "sha256:0",
        "data_revision": "sha256:1",
        "distributions": {"zoo-registry": "0.1.0"},
    }
    return Record(**{**facts, **changes})


@pytest.fixture
def make_record() -> MakeRecord:
    return a_record


SMOKE = Path(__file__).parents[2] / "benchmarks" / "specs" / "smoke.yaml"
SMALL = (
    "task.corpus.pairs=300",
    "evaluation.max_examples=12",
    "training.steps=30",
    "model.d_model=16",
    "measurement.latency_samples=3",
    "measurement.processes=1",
    "measurement.throughput_batches=[2]",
    "decoding.max_new_tokens=6",
)
SmallSpec = Callable[..., Spec]


@pytest.fixture(scope="session")
def small_spec() -> SmallSpec:
    """A spec on generated data whose cell takes seconds, with what the arguments set."""
    return lambda *sets: load_spec(SMOKE, [*SMALL, *sets])
