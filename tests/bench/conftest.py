from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from zoo.bench import Record, new_record_id

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
