"""What an ONNX export computes, against its model in torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from zoo_export.onnx_exporter import OnnxExporter
from zoo_export.options import OnnxOptions

from zoo.errors import InputError
from zoo.export.folder import ENCODER, FIRST_STEP, NEXT_STEP
from zoo.models import assemble
from zoo.spec import resolve_model

SECTION: dict[str, Any] = {
    "d_model": 16,
    "heads": 2,
    "encoder": {"layers": 2},
    "decoder": {"layers": 2},
    "position": "sinusoidal",
    "block": "pre-norm",
    "normalization": "layer-norm",
    "feedforward": {"use": "mlp", "width": 24, "activation": "relu"},
    "fusion": "top",
    "max_positions": 64,
}
VOCABULARY = 40
OFTEN: list[Any] = ["sinusoidal", "rotary", "t5"]
SELDOM: list[Any] = [
    "none",
    "learned",
    "shape",
    "alibi",
    "deberta",
    "transformer-xl",
    "p-transformer",
    {"use": "shaw", "values": True},
    {"use": "rotary", "values": True},
    {"use": "sum", "terms": ["rotary", "alibi"]},
]


def model_of(**changes: Any) -> Any:
    return assemble(resolve_model({**SECTION, **changes}), VOCABULARY, seed=3).eval()


def batches() -> list[dict[str, Any]]:
    """Sources of other sizes than those that are traced, one of them of a single token."""
    draw = torch.Generator().manual_seed(7)
    found = []
    for rows, lengths in ((4, (9, 6, 2, 1)), (1, (1,)), (2, (13, 13))):
        ids = torch.randint(4, VOCABULARY, (rows, max(lengths)), generator=draw)
        mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
        found.append({"input_ids": ids, "attention_mask": mask.long()})
    return found


def assert_same(model: Any, folder: Path, **options: Any) -> None:
    exporter = OnnxExporter(OnnxOptions.model_validate(options))
    exporter.refuse(model)
    exporter.write(model, folder)
    found = exporter.parity(model, folder, batches(), max_new_tokens=12)
    assert found.examples == 7
    assert found.largest_difference < 2e-5
    assert found.same_outputs == 7


@pytest.mark.slow
@pytest.mark.parametrize("position", OFTEN, ids=str)
def test_steps_from_the_cache_give_torchs_logits_and_outputs(tmp_path: Path, position: Any) -> None:
    assert_same(model_of(position=position), tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("position", SELDOM, ids=str)
def test_so_they_do_with_every_other_scheme(tmp_path: Path, position: Any) -> None:
    assert_same(model_of(position=position), tmp_path)
