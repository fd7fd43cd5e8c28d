"""Layers that int8 harms are found, and what keeping them in float32 brings is what onnxruntime then computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from zoo_export.onnx_exporter import OnnxExporter
from zoo_export.options import OnnxOptions

from zoo.export.report import MetricDrop
from zoo.export.sensitivity import Trials
from zoo.models import assemble
from zoo.spec import resolve_model
from zoo.testing.exporter import ExporterSuite
from zoo.testing.surroundings import one_thread

SECTION: dict[str, Any] = {
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
}
VOCABULARY = 40
OUTLIER = 3000.0


def with_an_outlier() -> Any:
    """One unit of a feed-forward layer is as small as the weights behind it are large: in float32 it changes nothing
    (ReLU is homogeneous), but of 8 bits none are left for the weights beside these."""
    model = assemble(resolve_model(SECTION), VOCABULARY, seed=3).eval()
    layer = model.decoder.layers[0].feedforward
    with torch.no_grad():
        layer.down.weight.mul_(4.0)  # so that the layer matters
        layer.up.weight[0] /= OUTLIER
        layer.up.bias[0] /= OUTLIER
        layer.down.weight[:, 0] *= OUTLIER
    return model


@pytest.mark.slow
def test_the_layer_that_int8_ruins_is_the_most_sensitive_and_keeping_it_is_what_helps(tmp_path: Path) -> None:
    model = with_an_outlier()
    exporter = OnnxExporter(OnnxOptions(weights="int8"))
    draw = torch.Generator().manual_seed(7)
    ids = torch.randint(4, VOCABULARY, (8, 9), generator=draw)
    batches = [{"input_ids": ids, "attention_mask": torch.ones_like(ids)}]

    def divergence(folder: Path) -> Any:
        return exporter.parity(model, folder, batches, max_new_tokens=8)

    def drops(folder: Path, written: Any) -> list[MetricDrop]:
        """The divergence as a metric, of which a tenth of what the layer does is allowed."""
        found = divergence(folder).divergence
        bounds = {"direction": "lower", "unit": "nats", "signature": "", "max_drop": 0.1 * worst.divergence}
        return [MetricDrop(metric="divergence", torch=0.0, export=found, drop=found, **bounds)]

    with one_thread(), exporter.trials(model) as trial:
        whole = tmp_path / "whole"
        whole.mkdir()
        changed = trial((), whole).changed
        assert set(changed) <= {name for name, _ in model.named_modules()}
        trials = Trials(exporter, trial, changed, tmp_path)
        worst, *others = trials.ranked(divergence)
        remedy = trials.remedy([worst, *others], drops)
    assert worst.layers == "decoder.layers.0.feedforward.*"
    assert worst.divergence is not None
    assert all(item.divergence is not None and 5 * item.divergence < worst.divergence for item in others)
    assert remedy is not None
    assert remedy.keep_float32 == [worst.layers]
    assert remedy.drops[0].passes
    assert [item.name for item in tmp_path.iterdir()] == ["whole"]


@pytest.mark.soak
class TestOnnxOfFewerBits(ExporterSuite):
    component = "onnx"
    options = ({"weights": "int8"}, {"weights": "int4"}, {"weights": "float16"})
