"""A spec of a generator through the command line."""

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
from zoo.tasks import DataHome
from zoo.testing.in_process import cells_in_this_process
from zoo.testing.surroundings import one_thread


def test_commands_that_are_about_texts_refuse_a_generator(
    digits_spec: Callable[..., Any],
    digits_home: DataHome,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ZOO_HOME", str(digits_home.root))
    spec, plain = tmp_path / "spec.yaml", digits_spec().plain()
    spec.write_text(yaml.safe_dump(plain))
    assert main(["check", str(spec)]) == 0
    assert main(["show", str(spec)]) == 2
    assert "what a generator computes depends on the size of its task's images" in capsys.readouterr().err
    assert main(["data", "vocabulary", str(spec)]) == 2
    assert "a generator makes images: it has no tokenizers" in capsys.readouterr().err
    assert main(["build", str(spec), "--out", str(tmp_path / "run")]) == 0
    spec.write_text(yaml.safe_dump({**plain, "model": {"from": str(tmp_path / "run")}}))
    assert main(["check", str(spec)]) == 2
    assert "is a generator: no spec begins with one yet" in capsys.readouterr().err


@pytest.mark.slow
def test_images_are_benched_evaluated_and_shown(
    digits_spec: Callable[..., Any],
    digits_home: DataHome,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ZOO_HOME", str(digits_home.root))
    with one_thread(), cells_in_this_process():
        # Clocks are tried in tests/measure; a consistency model would count as collapsed after so few steps.
        changes = {"measurement.processes": 0, "model.generator": {"use": "ddpm", "width": 4, "sampling_steps": 3}}
        Path("spec.yaml").write_text(yaml.safe_dump(digits_spec(**changes).plain()))
        assert main(["bench", "spec.yaml", "--store", "records"]) == 0, capsys.readouterr().err
        store = RecordStore(tmp_path / "records")
        records = {record.name: record for record in store.read().records}
        assert set(records) == {"copy", "untrained", "digits"}
        record = records["digits"]
        assert [item.metric for item in record.quality] == ["modes-covered", "mode-kl"]
        assert records["copy"].quality[0].value >= record.quality[0].value
        assert record.probes["function_evaluations"] == 3
        assert set(record.curve[-1].losses) == {"noise"}
        assert record.performance[0].training_tokens_per_second, "images, in steps"
        outputs = read_outputs(store.folder, record)
        assert outputs.outputs is not None
        assert all(len(text) == 3 for text in outputs.outputs), "digits, not pixels"
        run = digits_home.root / "cells" / record.cell[:24] / "run"
        capsys.readouterr()
        assert main(["evaluate", str(run), "--json"]) == 0
        found = {item["metric"]: item["value"] for item in json.loads(capsys.readouterr().out)["quality"]}
        assert found == pytest.approx({item.metric: item.value for item in record.quality})
        assert main(["leaderboard", "build", "--store", "records", "--out", "board"]) == 0
        # A finished cell is found again, and so are the controls: their keys follow from the records.
        assert main(["bench", "spec.yaml", "--store", "records"]) == 0
        assert len(store.read().records) == 3
    boards = "".join(page.read_text() for page in Path("board").rglob("*.html"))
    assert "stacked-digits-27" in boards
    assert "modes-covered" in boards
    assert "function_evaluations" in boards or "function evaluations" in boards
