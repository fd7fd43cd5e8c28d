"""`zoo backends`: a table of kernels and costs over a grid."""

from __future__ import annotations

import json

import pytest

from zoo.cli.main import main

SPEC = """
name: costs
task: {use: translation, corpus: generated, source: qaa, target: qab}
tokenizer: {use: unigram, vocab_size: 100}
model:
  d_model: 24
  heads: 2
  encoder: {layers: 1}
  decoder: {layers: 1}
  position: sinusoidal
  block: pre-norm
  normalization: layer-norm
  feedforward: {use: mlp, width: 32}
  fusion: top
training:
  steps: 1
  objective: cross-entropy
  optimizer: adamw
  schedule: constant
  clipping: none
decoding: {strategy: greedy}
evaluation: {metrics: [bleu]}
grid:
  model.position: [sinusoidal, alibi]
"""
SMALL = ["--vocabulary", "50", "--batch", "2", "--source", "9", "--target", "7", "--rounds", "2", "--device", "cpu"]


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "costs.yaml"
    path.write_text(SPEC)
    return path


def test_the_first_of_the_grid_is_the_measure_of_all(spec, capsys):
    assert main(["backends", str(spec), *SMALL]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:2] == ["MODEL", "FUSED"]
    assert lines[1].startswith("position=sinusoidal  yes    sdpa flash")
    assert lines[2].startswith("position=alibi")
    assert "ratios to position=sinusoidal" in lines[3]


def test_json_has_every_timing(spec, capsys):
    assert main(["backends", str(spec), *SMALL, "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert (first["time_ratio"], first["memory_ratio"]) == (1, 1)
    assert len(second["seconds"]) == 2
    assert second["kernels"] == ["sdpa flash"]
    assert second["scores_written_per_layer"] > 0


def test_a_length_that_is_a_width_of_the_model_is_one_clear_line(spec, capsys):
    assert main(["backends", str(spec), *SMALL, "--source", "12"]) == 2
    found = capsys.readouterr().err
    assert found.startswith("zoo: 12 tokens: position=sinusoidal has a width of 12, and attention scores")
    assert found.count("\n") == 1
