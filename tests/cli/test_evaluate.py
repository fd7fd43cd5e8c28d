from __future__ import annotations

import json
from pathlib import Path

import pytest

from zoo.bench.outputs import read_outputs_file
from zoo.cli.main import main
from zoo.spec import load_spec
from zoo.tasks import DataHome
from zoo.training import build

SMOKE = Path(__file__).parents[2] / "benchmarks" / "specs" / "smoke.yaml"


def test_a_built_model_is_scored_as_its_spec_and_the_options_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    spec = load_spec(SMOKE, ["decoding.max_new_tokens=4", "model.d_model=16", "task.corpus.pairs=300"])
    build(spec, tmp_path / "model", DataHome(tmp_path / "home"))
    assert main(["evaluate", str(tmp_path / "model"), "--split", "dev", "--max-examples", "5", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["split"], found["examples"]) == ("dev", 5)
    assert [score["metric"] for score in found["quality"]] == ["bleu", "chrf"]
    references = spec.task.create().prepare(DataHome(tmp_path / "home")).examples("dev")[:5]
    assert [sample["reference"] for sample in found["samples"]] == [example.target for example in references]
    assert len(found["quality"][0]["details"]["precisions"]) == 4

    assert all("." not in name for name in found["probes"])
    assert found["probe_series"] == {}

    kept = tmp_path / "my outputs.parquet"
    assert main(["evaluate", str(tmp_path / "model"), "--max-examples", "3", "--outputs", str(kept)]) == 0
    shown = capsys.readouterr()
    outputs = read_outputs_file(kept)
    tests = spec.task.create().prepare(DataHome(tmp_path / "home")).examples("test")[:3]
    assert outputs.ids == tuple(example.id for example in tests)
    assert outputs.references == tuple(example.target for example in tests)
    assert [metric.metric for metric in outputs.metrics] == ["bleu", "chrf"]
    assert (outputs.record, outputs.split) == (None, "test")
    assert "3 examples of test" in shown.out
    assert "holds initial weights" in shown.err


def test_probes_of_the_spec_are_measured_and_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    probes = "evaluation.probes=[source-swap, cross-attention-mass, {use: repetition, largest: 2}]"
    small = ["decoding.max_new_tokens=4", "model.d_model=16", "task.corpus.pairs=300", probes]
    build(load_spec(SMOKE, small), tmp_path / "model", DataHome(tmp_path / "home"))
    assert main(["evaluate", str(tmp_path / "model"), "--max-examples", "5", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    difference = found["probes"]["source-swap.swapped_loss"] - found["probes"]["source-swap.loss"]
    assert found["probes"]["source-swap.difference"] == pytest.approx(difference)
    assert set(found["probe_series"]) == {
        "cross-attention-mass.by_class",
        "cross-attention-mass.raw_by_layer",
        "cross-attention-mass.weighted_by_layer",
        "repetition.by_length",
    }
    assert found["probe_series"]["repetition.by_length"]["x"] == [1, 2]
    assert main(["evaluate", str(tmp_path / "model"), "--max-examples", "5"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["source-swap.loss", f"{found['probes']['source-swap.loss']:.4g}"] in rows


def test_a_folder_that_is_no_model_is_the_users_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(tmp_path / "absent")]) == 2
    assert main(["evaluate", str(tmp_path)]) == 2
    assert main(["evaluate", str(tmp_path), "--outputs", str(tmp_path / "absent" / "x.parquet")]) == 2
    err = capsys.readouterr().err
    assert "no such folder to write in" in err
    assert "no such folder; expected" in err
    assert "not a folder of 'zoo build' or 'zoo train'" in err
