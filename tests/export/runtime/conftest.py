"""One small model, in torch and exported, for all tests of what runs exports."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from zoo.export.exporting import export_model
from zoo.registry import current_registry
from zoo.spec import resolve
from zoo.spec.options import Chosen
from zoo.tasks import DataHome
from zoo.testing.surroundings import one_thread
from zoo.training import build, load_run
from zoo.training.preparation import prepare_task

SPEC: dict[str, Any] = {
    "name": "tiny",
    "task": {
        "use": "translation",
        "corpus": {"use": "generated", "pairs": 200, "dev_pairs": 60, "test_pairs": 5, "vocabulary": 60},
        "source": "qaa",
        "target": "qab",
    },
    "tokenizer": {"use": "unigram", "vocab_size": 160},
    "model": {
        "d_model": 16,
        "heads": 2,
        "encoder": {"layers": 1},
        "decoder": {"layers": 2},
        "position": "rotary",
        "block": "pre-norm",
        "normalization": "layer-norm",
        "feedforward": {"use": "mlp", "width": 24, "activation": "relu"},
        "fusion": "top",
        "tie_embeddings": "none",
        "max_positions": 24,  # some sources are longer
    },
    "training": {
        "steps": 0,
        "batch_tokens": 100,
        "objective": "cross-entropy",
        "optimizer": {"use": "adamw", "lr": 1e-3},
        "schedule": "constant",
        "clipping": "none",
    },
    "decoding": {"strategy": {"use": "beam", "width": 3, "length_penalty": 0.8}, "max_new_tokens": 20, "batch_size": 7},
    "evaluation": {"metrics": ["chrf"]},
}


@dataclass(frozen=True)
class Twins:
    """A folder of ``zoo build`` and an export of it."""

    torch: Path
    export: Path
    sources: tuple[str, ...]


@pytest.fixture(scope="session")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Twins:
    """Untrained, but sure of itself, so that outputs differ and some end."""
    home = DataHome(tmp_path_factory.mktemp("home"))
    folder, out = tmp_path_factory.mktemp("models") / "tiny", tmp_path_factory.mktemp("exports") / "tiny"
    spec = resolve(SPEC)
    sources = tuple(example.source for example in prepare_task(spec, home).examples("dev"))
    with one_thread():
        build(spec, folder, home)
        model = load_run(folder).model
        with torch.no_grad():
            for matrix in model.parameters():
                if matrix.ndim == 2:
                    matrix.mul_(2.0)
            model.lm_head.weight[model.config.eos_token_id] *= 2.0
        model.save_pretrained(folder)
        exporter = current_registry().get("exporter", "onnx")
        export_model(folder, out, Chosen(exporter, exporter.load_options()()), sources=sources[:5])
    return Twins(folder, out, sources)
