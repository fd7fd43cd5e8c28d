"""A spec of a detector through the command line."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from zoo.bench import RecordStore
from zoo.bench.outputs import read_outputs
from zoo.cli.main import main
from zoo.cli.measure import _capacity_rows
from zoo.measure.batches import Rate
from zoo.registry import use_registry
from zoo.testing.in_process import cells_in_this_process
from zoo.testing.shapes import with_shapes
from zoo.testing.surroundings import one_thread

PLUGIN = """
from zoo.registry import hookimpl
from zoo.testing.in_process import cells_in_this_process
from zoo.testing.shapes import SHAPES

@hookimpl
def zoo_components():
    yield SHAPES
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with a plugin that has the kit's task of boxes."""
    folder = tmp_path / "site"
    info = folder / "zoo_testing_shapes-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "zoo_testing_shapes.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Name: zoo-testing-shapes\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[zoo]\nshapes = zoo_testing_shapes\n")
    return folder


def test_commands_that_are_about_texts_refuse_a_detector(
    shapes_spec: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with use_registry(with_shapes()):
        (tmp_path / "spec.yaml").write_text(yaml.safe_dump(shapes_spec().plain()))
        assert main(["check", str(tmp_path / "spec.yaml")]) == 0
        assert main(["show", str(tmp_path / "spec.yaml")]) == 2
        assert "what a detector computes depends on its images" in capsys.readouterr().err
        assert main(["data", "vocabulary", str(tmp_path / "spec.yaml")]) == 2
    assert "a detector reads no text and writes none: it has no tokenizers" in capsys.readouterr().err


def test_no_spec_begins_with_a_detector(
    shapes_spec: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    spec = tmp_path / "spec.yaml"
    with use_registry(with_shapes()):
        plain = shapes_spec().plain()
        spec.write_text(yaml.safe_dump(plain))
        assert main(["build", str(spec), "--out", str(tmp_path / "run")]) == 0
        spec.write_text(yaml.safe_dump({**plain, "model": {"from": str(tmp_path / "run")}}))
        assert main(["check", str(spec)]) == 2
    assert "is a detector: no spec begins with a model that finds boxes yet" in capsys.readouterr().err


def test_images_a_second_are_told_without_tokens() -> None:
    performance: Any = SimpleNamespace(throughput=[Rate(2, "ok", None, 7.25)], memory=None, energy=None)
    assert list(_capacity_rows(performance)) == [("throughput, batch 2", "7.2 outputs/s")]


@pytest.mark.slow
def test_boxes_are_benched_evaluated_and_shown(
    shapes_spec: Callable[..., Any],
    site: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    # For the processes that are started; this one has the task from the kit.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(site), os.environ.get("PYTHONPATH", ""))))
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    with use_registry(with_shapes()), one_thread(), cells_in_this_process():
        Path("spec.yaml").write_text(yaml.safe_dump(shapes_spec(**{"training.steps": 40}).plain()))
        assert main(["bench", "spec.yaml", "--store", "records"]) == 0, capsys.readouterr().err
        store = RecordStore(tmp_path / "records")
        control, record = sorted(store.read().records, key=lambda item: item.role)
        assert (control.name, record.name) == ("untrained", "shapes")
        assert {item.metric for item in record.quality} == {"map50", "recall-by-size"}
        assert set(record.curve[-1].losses) == {"class", "box"}
        (performance,) = record.performance
        assert performance.latency is not None
        assert performance.memory is not None
        assert performance.encode is None
        (rate,) = performance.throughput
        assert rate.sentences_per_second
        assert rate.tokens_per_second is None
        outputs = read_outputs(store.folder, record)
        assert outputs.references is not None
        assert all("pixels" not in text for text in outputs.references)
        assert {item["category"] for text in outputs.references for item in json.loads(text)} == {2, 7}
        run = tmp_path / "home" / "cells" / record.cell[:24] / "run"
        assert (run / "preprocessor_config.json").is_file()
        capsys.readouterr()
        assert main(["evaluate", str(run), "--json"]) == 0
        found = {item["metric"]: item["value"] for item in json.loads(capsys.readouterr().out)["quality"]}
        assert found == pytest.approx({item.metric: item.value for item in record.quality})
        assert main(["records", "check", "records"]) == 0, capsys.readouterr().err
        assert main(["records", "publish", "records", "published"]) == 0
        assert main(["leaderboard", "build", "--store", "records", "--out", "board"]) == 0
        # A finished cell is found again, and so is the control: both keys follow from the records.
        assert main(["bench", "spec.yaml", "--store", "records"]) == 0
        assert len(store.read().records) == 2
    boards = "".join(page.read_text() for page in Path("board").rglob("*.html"))
    assert "image 0 of test" in boards
