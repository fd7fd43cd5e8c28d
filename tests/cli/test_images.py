"""A spec of images through the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from zoo.bench import RecordStore
from zoo.bench.outputs import read_outputs
from zoo.cli.main import main
from zoo.registry import use_registry
from zoo.testing.glyphs import with_glyphs
from zoo.testing.in_process import cells_in_this_process
from zoo.testing.surroundings import one_thread


@pytest.mark.slow
def test_images_are_benched_evaluated_and_shown(
    glyph_spec: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    with use_registry(with_glyphs()), one_thread(), cells_in_this_process():
        changes = {"evaluation.probes": ["repetition"], "training.steps": 60, "evaluation.max_examples": 9}
        changes["measurement.processes"] = 0  # images are sent to processes that measure in test_detections
        Path("spec.yaml").write_text(yaml.safe_dump(glyph_spec(**changes).plain()))
        assert main(["bench", "spec.yaml", "--store", "records"]) == 0, capsys.readouterr().err
        store = RecordStore(tmp_path / "records")
        control, record = sorted(store.read().records, key=lambda item: item.role)
        assert (control.name, record.name) == ("untrained", "glyphs")
        assert {item.metric for item in record.quality} == {"cer", "exact-match"}
        assert "repetition.rep_1" in record.probes
        (performance,) = record.performance
        assert performance.training_tokens_per_second
        sources = read_outputs(store.folder, record).sources
        assert sources is not None
        assert sources[0] == "word 0 of test"
        run = tmp_path / "home" / "cells" / record.cell[:24] / "run"
        assert (run / "preprocessor_config.json").is_file()
        capsys.readouterr()
        assert main(["evaluate", str(run), "--json"]) == 0
        found = {item["metric"]: item["value"] for item in json.loads(capsys.readouterr().out)["quality"]}
        assert found == pytest.approx({item.metric: item.value for item in record.quality})
        assert main(["leaderboard", "build", "--store", "records", "--out", "board"]) == 0
    boards = "".join(page.read_text() for page in Path("board").rglob("*.html"))
    assert "word 0 of test" in boards


def test_training_tells_which_share_of_the_texts_is_past_its_frames(
    glyph_spec: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A frame for each letter: words with two letters that are alike beside each other need more."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    absent = dict.fromkeys(("model.decoder", "model.position", "model.fusion"))
    changes = {"model.architecture": "image-ctc", "model.tie_embeddings": "none", "training.steps": 1, **absent}
    with use_registry(with_glyphs()), one_thread():
        spec = glyph_spec(**changes)
        Path("spec.yaml").write_text(yaml.safe_dump(spec.plain()))
        assert main(["train", "spec.yaml", "--out", "run"]) == 0, capsys.readouterr().err
    shares = json.loads(Path("run/training.json").read_text())["facts"]["examples_past_their_frames"]
    told = ", ".join(f"{shares[split]:.2%} of {split}" for split in ("train", "dev", "test"))
    assert shares["train"] > 0
    assert f"more frames than their images have, and so are not learnt: {told} (" in capsys.readouterr().out
