"""Language models on the command line, from a spec to scores; and what a spec's model holds and computes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from zoo.cli.main import main
from zoo.testing.in_process import probes_in_this_process

SMOKE = Path(__file__).parents[2] / "benchmarks" / "specs" / "smoke.yaml"
SPEC = """\
extends: {smoke}
name: language-model
model: {{architecture: {architecture}, encoder: null, fusion: null, decoder: {{layers: 2}}}}
training: {{steps: 150, packing: {packing}, evaluate_every: 75}}
evaluation: {{metrics: [bleu, chrf], max_examples: 40}}
measurement: {{latency_samples: 3, processes: 1, throughput_batches: [4]}}
"""


def write(folder: Path, architecture: str, packing: bool = False) -> Path:
    path = folder / "lm.yaml"
    path.write_text(SPEC.format(smoke=SMOKE, architecture=architecture, packing=str(packing).lower()))
    return path


def output(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "packing"), [("causal-lm", False), ("prefix-lm", True)])
def test_a_language_model_is_trained_scored_and_measured(
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    architecture: str,
    packing: bool,
) -> None:
    monkeypatch.setenv("ZOO_HOME", str(tmp_path_factory.getbasetemp() / "zoo-home"))
    run = str(tmp_path / "run")
    output(capsys, "train", str(write(tmp_path, architecture, packing)), "--out", run)
    scores = json.loads(output(capsys, "evaluate", run, "--json"))
    (chrf,) = [item["value"] for item in scores["quality"] if item["metric"] == "chrf"]
    assert chrf > 15  # an untrained model has below 10
    with probes_in_this_process():  # which say on standard error what they load
        assert main(["measure", run, "--json"]) == 0
    (measured,) = json.loads(capsys.readouterr().out)["models"]
    assert measured["performance"]["encode"]["median"] > 0


def test_show_prints_parameters_and_flops_of_a_spec(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = write(tmp_path, "causal-lm")
    lengths = ("--source-tokens", "10", "--target-tokens", "12")
    (shown,) = json.loads(output(capsys, "show", str(spec), *lengths, "--json"))
    width, layers, inner, vocabulary, length = 64, 2, 128, 200, 21
    assert (shown["vocabulary"], shown["vocabulary_estimated"]) == (vocabulary, True)
    assert shown["parameters"]["embedding"] == vocabulary * width
    assert shown["parameters"]["total"] == sum(shown["parameters"]["parts"].values())
    assert shown["flops"]["parts"] == {
        "decoder.self_attention": layers * (8 * length * width**2 + 4 * length**2 * width),
        "decoder.feedforward": layers * 4 * length * width * inner,
        "lm_head": 2 * 12 * width * vocabulary,
    }
    assert shown["flops"]["training"] == 3 * shown["flops"]["forward"]
    sources = ("--set", "training.source_loss=true")
    (learning,) = json.loads(output(capsys, "show", str(spec), *lengths, *sources, "--json"))
    assert learning["flops"]["parts"]["lm_head"] == 2 * length * width * vocabulary
    text = output(capsys, "show", str(spec), *lengths, "--vocabulary", "150")
    assert "vocabulary: 150 tokens\n" in text
    assert f"{shown['parameters']['non_embedding']:,}" in text
    assert f"{shown['flops']['forward'] - 2 * 12 * width * 50:,}" in text


def test_show_compares_the_cells_of_a_grid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = write(tmp_path, "causal-lm")
    spec.write_text(spec.read_text() + "grid: {model.decoder.layers: [1, 2]}\n")
    lines = output(capsys, "show", str(spec)).splitlines()
    assert [line.split()[0] for line in lines[:3]] == [
        "NAME",
        "language-model+layers=1",
        "language-model+layers=2",
    ]
    (shown,) = json.loads(output(capsys, "show", str(spec), "--cell", "layers=2", "--json"))
    assert f"{shown['parameters']['total']:,}" in lines[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cell", "layers=9"], "--cell 'layers=9': the spec has no grid"),
        (["--vocabulary", "2"], "--vocabulary': 2 is not in the range"),
        (["--source-vocabulary", "9"], "share a vocabulary"),
        (["--set", "model.encoder={layers: 1}"], "a causal-lm has no encoder"),
    ],
)
def test_show_refuses_what_a_spec_has_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["show", str(write(tmp_path, "causal-lm")), *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


@pytest.mark.parametrize("option", [("--set", "a=b"), ("--source-tokens", "32"), ("--vocabulary", "9")])
def test_show_refuses_a_specs_options_for_a_component(
    capsys: pytest.CaptureFixture[str], option: tuple[str, str]
) -> None:
    assert main(["show", "position/rotary", *option]) == 2
    assert f"is no file of a spec, which {option[0]} is for" in capsys.readouterr().err
