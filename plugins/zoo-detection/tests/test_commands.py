"""Detectors of query sets through the command line."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.torch import load_file

from zoo.bench import RecordStore
from zoo.cli.main import main
from zoo.registry import use_registry
from zoo.testing.shapes import with_shapes
from zoo.testing.surroundings import one_thread

PLUGIN = """
from zoo.registry import hookimpl
from zoo.testing.shapes import SHAPES

@hookimpl
def zoo_components():
    yield SHAPES
"""


def spec(name: str) -> dict[str, Any]:
    """A small detector of the boxes of the kit's own task."""
    return {
        "name": name,
        "task": {"use": "shapes"},
        "model": {
            "architecture": "detector",
            "pixels": {"max_height": 48, "max_width": 64, "multiple": 16},
            "detector": {
                "use": name,
                "matcher": {"use": "hungarian", "class_form": "focal", "class_cost": 2.0, "box_loss": "giou"},
                "box_loss": "ciou",
                "width": 8,
                "levels": [8, 16],
                "d_model": 16,
                "heads": 2,
                "expansion": 0.5,
                "decoder_layers": 2,
                "feedforward": 32,
                "queries": 8,
                "denoising": 8,
            },
        },
        "training": {
            "steps": 12,
            "batch_tokens": 60,
            "optimizer": {"use": "adamw", "lr": 5e-3},
            "schedule": {"use": "inverse-sqrt", "warmup": 10},
            "log_every": 4,
        },
        "evaluation": {"metrics": [{"use": "map", "iou_thresholds": [0.5]}, "recall-by-size"]},
        "measurement": {"processes": 0},
    }


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, where started processes find a plugin with the kit's task of boxes."""
    site = tmp_path / "site"
    info = site / "zoo_testing_shapes-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "zoo_testing_shapes.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Name: zoo-testing-shapes\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[zoo]\nshapes = zoo_testing_shapes\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(site), os.environ.get("PYTHONPATH", ""))))
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.mark.soak  # another detector goes the same way in the slow part
def test_rt_detr_is_benched(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with use_registry(with_shapes()), one_thread():
        Path("spec.yaml").write_text(yaml.safe_dump(spec("rt-detr")))
        assert main(["bench", "spec.yaml", "--store", "records"]) == 0, capsys.readouterr().err
    (record,) = (item for item in RecordStore(here / "records").read().records if item.name == "rt-detr")
    assert {item.metric for item in record.quality} == {"map50", "recall-by-size"}
    assert set(record.curve[-1].losses) == {"class", "l1", "box", "denoising"}
    assert record.curve[-1].losses["denoising"] > 0


@pytest.mark.soak  # RT-DETR's other head
def test_d_fine_is_trained_saved_and_evaluated(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with use_registry(with_shapes()), one_thread():
        Path("spec.yaml").write_text(yaml.safe_dump(spec("d-fine")))
        assert main(["train", "spec.yaml", "--out", "run"]) == 0, capsys.readouterr().err
        weights = load_file(here / "run" / "model.safetensors")
        assert sum("running_mean" in name for name in weights) > 10
        capsys.readouterr()
        assert main(["evaluate", "run", "--json"]) == 0
    assert {item["metric"] for item in json.loads(capsys.readouterr().out)["quality"]} == {"map50", "recall-by-size"}
