"""`zoo export` through the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from zoo.cli.main import main
from zoo.export.folder import read_export
from zoo.testing.surroundings import one_thread

SPEC: dict[str, Any] = {
    "name": "tiny",
    "task": {
        "use": "translation",
        "corpus": {"use": "generated", "pairs": 120, "dev_pairs": 12, "test_pairs": 5, "vocabulary": 60},
        "source": "qaa",
        "target": "qab",
    },
    "tokenizer": {"use": "unigram", "vocab_size": 120},
    "model": {
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
    },
    "training": {
        "steps": 0,
        "batch_tokens": 100,
        "objective": "cross-entropy",
        "optimizer": {"use": "adamw", "lr": 1e-3},
        "schedule": "constant",
        "clipping": "none",
    },
    "decoding": {"strategy": "greedy", "max_new_tokens": 12, "batch_size": 5},
    "evaluation": {"metrics": ["chrf"]},
}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["nowhere", "--out", "out"], "nowhere: no such folder; expected one that 'zoo build' or 'zoo train' made"),
        ([".", "--to", "onyx", "--out", "out"], "did you mean 'onnx'"),
        ([".", "--to", "{use: onnx, opsett: 20}", "--out", "out"], "did you mean 'opset'"),
        ([".", "--to", "{use: onnx, opset: 9}", "--out", "out"], "opset"),
        ([".", "--sources", "none.txt", "--out", "out"], "none.txt: no such file"),
        ([".", "--sources", "empty.txt", "--out", "out"], "empty.txt: no lines of text: expected one source a line"),
        ([".", "--sources", "latin.txt", "--out", "out"], "latin.txt: byte 2 is not UTF-8"),
        ([".", "--out", "out"], "not a folder of 'zoo build' or 'zoo train'"),
        ([".", "--out", "."], "holds something else than an export"),
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
    assert main(["export", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert expected in line
    assert {item.name for item in tmp_path.iterdir()} == {"empty.txt", "latin.txt"}


@pytest.mark.slow
@pytest.mark.both
def test_a_built_model_is_exported_and_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    Path("spec.yaml").write_text(yaml.safe_dump(SPEC))
    with one_thread():
        assert main(["build", "spec.yaml", "--out", "model"]) == 0
        Path("lines.txt").write_text("ta nutux\n\ntep\n")
        to = ["--to", "{use: onnx, opset: 20}"]
        assert main(["export", "model", *to, "--sources", "lines.txt", "--out", "exported"]) == 0, (
            capsys.readouterr().err
        )
    told = capsys.readouterr().out
    assert "exported tiny to exported: 6 files" in told
    assert "on 2 sources: logits differ by" in told
    assert "2 greedy outputs are the same" in told
    found = read_export(Path("exported"))
    assert found.opset == 20
    assert found.parity is not None
    assert found.parity["examples"] == found.parity["same_outputs"] == 2
    assert sum(found.sizes.values()) == sum(item.stat().st_size for item in Path("exported").glob("*.onnx*"))
