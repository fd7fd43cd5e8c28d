"""`zoo export` through the command line."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from zoo.cli.export import _exporter
from zoo.cli.main import main
from zoo.export.folder import read_export
from zoo.export.quality import DroppedError
from zoo.export.report import LayerSensitivity, MetricDrop, ParityReport, Remedy, SameOutputs
from zoo.testing.surroundings import one_thread


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["nowhere", "--out", "out"], "nowhere: no such folder; expected one that 'zoo build' or 'zoo train' made"),
        ([".", "--to", "onyx", "--out", "out"], "did you mean 'onnx'"),
        ([".", "--to", "{use: onnx, opsett: 20}", "--out", "out"], "did you mean 'opset'"),
        ([".", "--to", "{use: onnx, opset: 9}", "--out", "out"], "opset"),
        ([".", "--preset", "cpu-fats", "--out", "out"], "did you mean 'cpu-fast'"),
        ([".", "--target", "avx512-vni", "--out", "out"], "did you mean 'avx512-vnni'"),
        ([".", "--sources", "none.txt", "--out", "out"], "none.txt: no such file"),
        ([".", "--sources", "empty.txt", "--out", "out"], "empty.txt: no lines of text: expected one source a line"),
        ([".", "--sources", "latin.txt", "--out", "out"], "latin.txt: byte 2 is not UTF-8"),
        ([".", "--out", "out"], "not a folder of 'zoo build' or 'zoo train'"),
        ([".", "--out", "."], "holds something else than an export"),
        ([".", "--references", "latin.txt", "--out", "out"], "--references: of which sources? Give --sources, too"),
        ([".", "--sources", "two.txt", "--references", "none.txt", "--out", "out"], "none.txt: no such file"),
        (
            [".", "--sources", "two.txt", "--references", "empty.txt", "--out", "out"],
            "empty.txt: 2 lines, but 3 in two.txt: expected one each",
        ),
        ([".", "--metric", "blue", "--out", "out"], "did you mean 'bleu'"),
        ([".", "--max-drop", "-1", "--out", "out"], "--max-drop -1: expected a number from 0 up, or NAME=NUMBER"),
        ([".", "--max-drop", "chrf=nan", "--out", "out"], "--max-drop chrf=nan: expected a number"),
        ([".", "--max-drop", "=1", "--out", "out"], "--max-drop =1: expected a number"),
        ([".", "--max-drop", "1", "--max-drop", "2", "--out", "out"], "--max-drop 2: given twice"),
    ],
)
def test_bad_input_gets_one_line_and_nothing_is_written(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    expected: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty.txt").write_text("\n \n")
    Path("latin.txt").write_bytes("na\xefve".encode("latin-1"))
    Path("two.txt").write_text("one\n\ntwo\n")
    assert main(["export", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert expected in line
    assert {item.name for item in tmp_path.iterdir()} == {"empty.txt", "latin.txt", "two.txt"}


@pytest.mark.slow
@pytest.mark.both
def test_a_built_model_is_exported_and_compared(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    translator_plain: Callable[..., dict[str, Any]],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    Path("spec.yaml").write_text(yaml.safe_dump(translator_plain()))
    with one_thread():
        assert main(["build", "spec.yaml", "--out", "model"]) == 0
        Path("lines.txt").write_text("ta nutux\n\ntep\n")
        Path("right.txt").write_text("jol\n\njok\n")
        to = ["--to", "{use: onnx, opset: 20}", "--sources", "lines.txt", "--references", "right.txt"]
        capsys.readouterr()
        assert main(["export", "model", *to, "--out", "exported"]) == 0, capsys.readouterr().err
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(" (")[0] for line in lines[:2]] == ["weights: float32", "opset: 20"]
    assert lines[1] == "opset: 20 (asked for; the preset 'safe' would have 18; --to)"
    told = [line.split() for line in lines[3:]]
    assert told[0][:4] == ["exported", "tiny", "to", "exported:"]
    assert told[1][:8] == ["on", "2", "examples", "of", "lines.txt", "logits", "differ", "by"]
    assert ["greedy", "2", "of", "2"] in told
    assert ["beam", "of", "4"] in [row[:3] for row in told]  # transformers 4 has rules of its own
    (metric,) = [row for row in told if row[:1] == ["chrf"]]
    assert metric[3:] == ["0.00", "0.00", "to", "0.00", "1"]
    found = read_export(Path("exported"))
    assert found.opset == 20
    assert found.parity is not None
    assert (found.parity.examples, found.parity.taken_from) == (2, "lines.txt")
    files = [item for item in Path("exported").iterdir() if item.name in found.sizes]
    assert sum(found.sizes.values()) == sum(item.stat().st_size for item in files)


@pytest.mark.soak
def test_a_preset_writes_what_its_machine_computes_and_says_why(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    translator_plain: Callable[..., dict[str, Any]],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    Path("spec.yaml").write_text(yaml.safe_dump(translator_plain()))
    Path("lines.txt").write_text("ta nutux\n\ntep\n")
    with one_thread():
        assert main(["build", "spec.yaml", "--out", "model"]) == 0
        for name, target, weights in (("edge", "arm", "int8"), ("cpu-small", "avx2", "int4")):
            capsys.readouterr()
            asked = ["--preset", name, "--target", target, "--sources", "lines.txt", "--out", name]
            assert main(["export", "model", *asked]) == 0, capsys.readouterr().err
            told = capsys.readouterr().out.splitlines()
            assert told[0].startswith(f"weights: {weights} (")
            found = read_export(Path(name))
            assert found.weights == weights
            assert [f"{item.what}: {item.value} (" for item in found.decisions] == [
                line[: line.index("(") + 1] for line in told[: len(found.decisions)]
            ]
            assert found.exact_parity is not None
            assert found.exact_parity.largest_difference < 1e-4
            assert main(["translate", name, "lines.txt"]) == 0
            assert len(capsys.readouterr().out.splitlines()) == 3
    assert read_export(Path("edge")).threads == 1


def test_an_export_that_is_past_its_bound_is_told_with_the_layers_that_do_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model").mkdir()
    report = ParityReport(
        examples=200,
        taken_from="dev",
        largest_difference=2.5,
        mean_difference=0.04,
        divergence=0.01,
        outputs=[SameOutputs(decoding="greedy", same=150)],
        metrics=[
            MetricDrop(
                metric="cer",
                direction="lower",
                unit="fraction",
                signature="-",
                torch=0.1,
                export=0.125,
                drop=0.025,
                interval=(0.02, 0.031),
                max_drop=0.01,
            )
        ],
        changed_layers=12,
        sensitivity=[
            LayerSensitivity(layers=f"decoder.layers.{place}.*", divergence=0.01 / (1 + place), largest_difference=2.4)
            for place in range(12)
        ],
        remedy=Remedy(keep_float32=["lm_head", "decoder.layers.0.*"], drops=[]),
        notes=["no references"],
    )

    def past(source: Path, out: Path, *_: Any, **__: Any) -> None:
        raise DroppedError(report, out)

    monkeypatch.setattr("zoo.export.exporting.export_model", past)
    to = ["--to", "{use: onnx, weights: int8, keep_float32: [lm_head]}"]
    arguments = ["export", str(tmp_path / "model"), *to, "--out", str(tmp_path / "out")]
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    (line,) = err.splitlines()
    assert "cer is worse by 0.025 (95% interval 0.02 to 0.031), more than 0.01, on 200 examples of dev" in line
    assert line.endswith('within the bound with keep_float32: ["lm_head", "decoder.layers.0.*"]')
    rows = [row.split() for row in out.splitlines()]
    assert ["cer", "0.1000", "0.1250", "0.0250", "0.0200", "to", "0.0310", "0.01"] in rows
    assert ["decoder.layers.0.*", "0.01", "2.4"] in rows
    assert ["and", "2", "less", "harmful"] in rows
    assert ["note:", "no", "references"] in rows
    name, again = shlex.split(out.splitlines()[-1])
    assert name == "--to"  # what was asked for, and the layers to keep: to be given again
    options = _exporter(again).options.model_dump()
    assert options == {**_exporter(to[1]).options.model_dump(), "keep_float32": report.remedy.keep_float32}
    assert main([*arguments, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert not told["exported"]
    assert ParityReport.model_validate(told["parity"]) == report
