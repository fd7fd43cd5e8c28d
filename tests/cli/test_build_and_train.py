"""`zoo build` and `zoo train` as a user meets them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from zoo.cli.main import main

SPEC = """\
name: tiny
task:
  use: translation
  corpus: {use: generated, pairs: 100, dev_pairs: 10, test_pairs: 10, vocabulary: 40}
  source: qaa
  target: qab
tokenizer: {use: unigram, vocab_size: 120}
model:
  d_model: 8
  heads: 2
  encoder: {layers: 1}
  decoder: {layers: 1}
  position: sinusoidal
  block: post-norm
  normalization: layer-norm
  feedforward: {use: mlp, width: 16, activation: relu}
  fusion: top
training:
  steps: 3
  batch_tokens: 100
  objective: cross-entropy
  optimizer: adamw
  schedule: constant
  clipping: none
decoding: {strategy: greedy}
evaluation: {metrics: [bleu]}
"""


@pytest.fixture
def spec(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZOO_HOME", str(tmp_path_factory.getbasetemp() / "zoo-home"))
    path = tmp_path / "spec.yaml"
    path.write_text(SPEC)
    return path


def test_build_writes_a_folder_whose_lock_builds_the_same_again(
    spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["build", str(spec), "--out", str(tmp_path / "one")]) == 0
    assert main(["build", str(tmp_path / "one" / "zoo.lock.yaml"), "--out", str(tmp_path / "two")]) == 0
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two")]
    assert weights[0] == weights[1]
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [f"built tiny in {tmp_path / name}" for name in ("one", "two")]
    assert captured.err == ""


@pytest.mark.parametrize(
    ("section", "key", "value", "status"),
    [("distributions", "zoo-blocks", "0.0.1", 0), ("content", "weights", "sha256:0", 1)],
    ids=["a version alone", "other weights"],
)
def test_building_a_lock_tells_what_drifted_and_fails_where_that_is_the_model(
    spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], section: str, key: str, value: str, status: int
) -> None:
    assert main(["build", str(spec), "--out", str(tmp_path / "one")]) == 0
    lock = tmp_path / "one" / "zoo.lock.yaml"
    document = yaml.safe_load(lock.read_text())
    document[section][key] = value
    lock.write_text(yaml.safe_dump(document))
    capsys.readouterr()
    assert main(["build", str(lock), "--out", str(tmp_path / "two")]) == status
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith(f"drift: {section}.{key}: locked {value}, now ")
    assert len(told) == 1 + status


def test_set_changes_what_is_built(spec: Path, tmp_path: Path) -> None:
    assert main(["build", str(spec), "--out", str(tmp_path / "one"), "--set", "model.d_model=12"]) == 0
    assert yaml.safe_load((tmp_path / "one" / "zoo.lock.yaml").read_text())["spec"]["model"]["d_model"] == 12


def test_train_says_what_it_did_and_refuses_to_do_it_again(
    spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert main(["train", str(spec), "--out", str(out)]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("trained tiny for 3 steps in ")
    assert captured.err == ""
    assert main(["train", str(spec), "--out", str(out)]) == 2
    assert capsys.readouterr().err == (
        f"zoo: --out {out}: already holds a finished run (status ok); choose another folder, or remove this one first\n"
    )
    assert main(["train", str(spec), "--out", str(out), "--resume"]) == 0


def test_a_run_that_diverges_ends_with_status_1_and_one_line(
    spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", str(spec), "--out", str(tmp_path / "run"), "--set", "training.optimizer.lr=1e30"]
    assert main(arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"zoo: {tmp_path / 'run'}: training ended with status nan: ")
    assert line.endswith("the initial weights are in the folder")


@pytest.mark.parametrize("verb", ["build", "train"])
def test_a_place_that_cannot_be_written_is_told_before_anything_is_prepared(
    spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    assert main([verb, str(spec), "--out", str(spec)]) == 2
    assert capsys.readouterr().err == (f"zoo: --out {spec}: is a file; expected a folder that does not exist yet\n")
