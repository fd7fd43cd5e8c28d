"""A small task and small specs that train in a second."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import pytest

from zoo.spec import Spec, resolve
from zoo.tasks import DataHome
from zoo.testing.surroundings import one_thread

TINY: dict[str, Any] = {
    "name": "tiny",
    "seed": 3,
    "task": {
        "use": "translation",
        "corpus": {"use": "generated", "pairs": 300, "dev_pairs": 40, "test_pairs": 20, "vocabulary": 60},
        "source": "qaa",
        "target": "qab",
    },
    "tokenizer": {"use": "unigram", "vocab_size": 160},
    "model": {
        "d_model": 16,
        "heads": 2,
        "encoder": {"layers": 1},
        "decoder": {"layers": 1},
        "position": "sinusoidal",
        "block": "post-norm",
        "normalization": "layer-norm",
        "feedforward": {"use": "mlp", "width": 32, "activation": "relu"},
        "fusion": "top",
        "dropout": 0.1,
    },
    "training": {
        "steps": 12,
        "batch_tokens": 200,
        "objective": {"use": "label-smoothing", "epsilon": 0.1},
        "optimizer": {"use": "adamw", "lr": 2e-3},
        "schedule": {"use": "inverse-sqrt", "warmup": 6},
        "clipping": {"use": "norm", "max_norm": 1.0},
        "log_every": 4,
    },
    "decoding": {"strategy": "greedy"},
    "evaluation": {"metrics": ["bleu"]},
}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> DataHome:
    """Data and tokenizers, prepared once for all tests here."""
    return DataHome(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def make_spec() -> Callable[..., Spec]:
    """``make_spec(**{"training.steps": 5})``: the tiny spec with values set by dotted path."""

    def make(**changes: Any) -> Spec:
        plain = deepcopy(TINY)
        for path, value in changes.items():
            *parents, leaf = path.split(".")
            section = plain
            for name in parents:
                section = section[name]
            section[leaf] = value
        return resolve(plain)

    return make
