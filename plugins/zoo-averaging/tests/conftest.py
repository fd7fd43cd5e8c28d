"""A small spec that trains in a second, and its runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from zoo.spec import Spec, resolve
from zoo.tasks import DataHome
from zoo.testing.surroundings import one_thread
from zoo.training import train

TINY: dict[str, Any] = {
    "name": "tiny",
    "seed": 3,
    "task": {
        "use": "translation",
        "corpus": {"use": "generated", "pairs": 200, "dev_pairs": 30, "test_pairs": 10, "vocabulary": 40},
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
        "feedforward": {"use": "mlp", "width": 32, "activation": "relu"},
        "fusion": "top",
        "dropout": 0.0,
    },
    "training": {
        "steps": 12,
        "batch_tokens": 200,
        "objective": "cross-entropy",
        "optimizer": {"use": "adamw", "lr": 4e-3},
        "schedule": "constant",
        "clipping": "none",
        "save_every": 3,
        "keep_checkpoints": 4,
    },
    "decoding": {"strategy": "greedy", "max_new_tokens": 8},
    "evaluation": {"metrics": ["bleu", "chrf"]},
}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> DataHome:
    """Data and tokenizers, prepared once for all tests here."""
    return DataHome(tmp_path_factory.mktemp("home"))


@pytest.fixture(autouse=True)
def _default_home(home: DataHome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_HOME", str(home.root))


def make_spec(**changes: Any) -> Spec:
    """The tiny spec with values set by dotted path, dots written as two underscores."""
    plain = deepcopy(TINY)
    for path, value in changes.items():
        *parents, leaf = path.split("__")
        section = plain
        for name in parents:
            section = section[name]
        section[leaf] = value
    return resolve(plain)


@pytest.fixture(scope="session")
def trained(home: DataHome, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """``trained(seed=4)``: the folder of a run of the tiny spec, trained once for each set of changes."""
    folder = tmp_path_factory.mktemp("runs")

    def run(**changes: Any) -> Path:
        out = folder / (re.sub(r"\W+", "-", str(changes)).strip("-") or "run")
        if not out.exists():
            assert train(make_spec(**changes), out, home=home).status == "ok"
        return out

    return run
