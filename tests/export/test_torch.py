"""A model's own folder in another precision: what `zoo export --to torch` writes, and the commands that run it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from zoo.cli.main import main
from zoo.errors import InputError
from zoo.export.exporting import export_model
from zoo.export.folder import read_export
from zoo.export.measuring import evaluate_export
from zoo.export.runtime import load
from zoo.export.torch_outputs import outputs_in_torch
from zoo.measure.evaluate import evaluate, evaluation_examples
from zoo.registry import current_registry, use_registry
from zoo.spec import resolve
from zoo.spec.options import Chosen
from zoo.tasks import DataHome, PixelImage
from zoo.tasks.contracts import silent
from zoo.testing.glyphs import with_glyphs
from zoo.testing.shapes import with_shapes
from zoo.testing.surroundings import one_thread
from zoo.training import build, load_run

pytestmark = pytest.mark.slow  # as models are built
BFLOAT16 = "{use: torch, weights: bfloat16}"


def chosen(weights: str = "bfloat16") -> Chosen:
    exporter = current_registry().get("exporter", "torch")
    return Chosen(exporter, exporter.load_options()(weights=weights))


def sure_of_itself(folder: Path) -> None:
    """So that outputs of an untrained model differ."""
    model = load_run(folder).model
    with torch.no_grad():
        for matrix in model.parameters():
            if matrix.ndim == 2:
                matrix.mul_(2.0)
    model.save_pretrained(folder)


def in_bfloat16(folder: Path, sources: list[Any]) -> list[Any]:
    """What the model of ``zoo build`` gives once torch itself has rounded it."""
    run = load_run(folder)
    run.model.eval().to(torch.bfloat16)
    return outputs_in_torch(run, sources, None, silent)


def test_a_translator_is_exported_told_and_run_as_any_model_of_torch(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
    translator_plain: Callable[..., dict[str, Any]],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    spec = translator_plain(**{"model.tie_embeddings": "none", "decoding.strategy": {"use": "beam", "width": 3}})
    Path("spec.yaml").write_text(yaml.safe_dump(spec))
    with one_thread():
        assert main(["build", "spec.yaml", "--out", "model"]) == 0
        sure_of_itself(Path("model"))
        arguments = ["--out", "half", "--max-drop", "chrf=100"]
        assert main(["export", "model", "--to", BFLOAT16, *arguments]) == 0
        told = capfdbinary.readouterr().out.decode()
        assert "torch, bfloat16" in told
        export = read_export(Path("half"))
        assert (export.kind, export.weights, export.opset) == ("torch", "bfloat16", None)
        assert export.parity is not None
        assert [row.decoding for row in export.parity.outputs] == ["greedy", "beam of 3"]
        assert [drop.metric for drop in export.parity.metrics] == ["chrf"]
        sizes = [(Path(folder) / "model.safetensors").stat().st_size for folder in ("model", "half")]
        assert 0.5 <= sizes[1] / sizes[0] < 0.6
        lines = [example.source for example in resolve(spec).task.create().prepare(DataHome.default()).examples("dev")]
        Path("lines.txt").write_text("\n".join(lines) + "\n")
        assert main(["translate", "half", "lines.txt", "--threads", "1"]) == 0
        written = capfdbinary.readouterr().out.decode().splitlines()
        expected = in_bfloat16(Path("model"), lines)
        assert len(set(expected)) > 1
        assert written == [" ".join(text.splitlines()) for text in expected]
        again = load_run(Path("half"))
        task = again.spec.task.create().prepare(DataHome.default())
        examples = evaluation_examples(task, again.spec)
        found = evaluate_export(again.spec, Path("half"), load_run(Path("model")), examples)
        assert found.outputs == evaluate(again.model.eval(), again.tokenizers, examples, again.spec).outputs
        assert "truncated_sources" in found.probes, "it is evaluated as a model is"
        with pytest.raises(InputError, match="half: an export that torch runs: load it as a model"):
            load("half")
        with pytest.raises(InputError, match="half: is an export: export the model that it was made of"):
            export_model(Path("half"), Path("more"), chosen())


def test_a_recogniser_reads_in_its_precision(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], glyph_spec: Callable[..., Any]
) -> None:
    with use_registry(with_glyphs()), one_thread():
        spec = glyph_spec(**{"training.steps": 0})
        home = DataHome(tmp_path / "home")
        build(spec, tmp_path / "model", home)
        sure_of_itself(tmp_path / "model")
        images = [np.random.default_rng(seed).integers(0, 256, (16, 30, 3), dtype=np.uint8) for seed in range(3)]
        (tmp_path / "images").mkdir()
        for place, pixels in enumerate(images):
            Image.fromarray(pixels).save(tmp_path / "images" / f"{place}.png")
        sources = [PixelImage(pixels) for pixels in images]
        export_model(tmp_path / "model", tmp_path / "half", chosen(), sources=sources)
        assert main(["recognize", str(tmp_path / "half"), str(tmp_path / "images"), "--json", "--threads", "1"]) == 0
        read = [json.loads(line)["text"] for line in capsys.readouterr().out.splitlines()]
        assert read == in_bfloat16(tmp_path / "model", sources)
        assert load_run(tmp_path / "half").model.dtype == torch.bfloat16


def test_a_detector_finds_in_its_precision(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], shapes_spec: Callable[..., Any]
) -> None:
    with use_registry(with_shapes()), one_thread():
        spec = shapes_spec(**{"training.steps": 0, "detection": {"min_score": 0.0, "max_detections": 5}})
        home = DataHome(tmp_path / "home")
        build(spec, tmp_path / "model", home)
        export = export_model(tmp_path / "model", tmp_path / "half", chosen(), examples=4, home=home)
        assert export.boxes is not None
        assert export.parity is not None
        assert export.parity.compared == "scores and boxes"
        image = np.random.default_rng(3).integers(0, 256, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(image).save(tmp_path / "0.png")
        assert main(["detect", str(tmp_path / "half"), str(tmp_path / "0.png"), "--json", "--threads", "1"]) == 0
        found = json.loads(capsys.readouterr().out)["boxes"]
        (expected,) = in_bfloat16(tmp_path / "model", [PixelImage(image)])
        assert [box["box"] for box in found] == [[round(side, 2) for side in box.box] for box in expected]
        assert len(found) == 5
