"""Plain seq2seq models of transformers, exported from disk, against themselves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from zoo.cli.main import main
from zoo.errors import InputError
from zoo.export.exporting import export_model
from zoo.export.folder import EXPORT_FILE
from zoo.export.runtime import load
from zoo.registry import current_registry
from zoo.spec.options import Chosen
from zoo.testing.checkpoints import outputs_of, texts, write_checkpoint
from zoo.testing.surroundings import one_thread

KINDS = ["marian-apart", "m2m100", "m2m100-bpe", "nllb", "bart", "mbart", "t5", "mt5"]
SEARCH = {
    "num_beams": 3,
    "length_penalty": 1.2,
    "early_stopping": True,
    "max_length": 15,
    "min_length": 4,
    "repetition_penalty": 1.4,
    "no_repeat_ngram_size": 3,
    "renormalize_logits": True,
}
LINES = texts(seed=11, count=12)


def exported(folder: Path, out: Path) -> Path:
    exporter = current_registry().get("exporter", "onnx")
    with one_thread():
        export_model(folder, out, Chosen(exporter, exporter.load_options()()), sources=LINES)
    return out


def checkpoint(kind: str, folder: Path) -> Path:
    """A checkpoint that decodes by beams, as its generation_config.json says, of two layers a side."""
    write_checkpoint(kind, folder)
    change(folder, SEARCH)
    return folder


def change(folder: Path, settings: dict[str, Any], name: str = "generation_config.json") -> None:
    found = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(found | settings))


def assert_same_outputs(folder: Path, out: Path) -> None:
    """As its own generation configuration has it, and greedily."""
    translator = load(out, threads=1)
    with one_thread():
        expected = outputs_of(folder, LINES)
        assert translator.translate(LINES) == expected
        assert translator.translate(LINES, width=1) == outputs_of(folder, LINES, num_beams=1, early_stopping=False)
    assert len(set(expected)) > 3


@pytest.fixture(scope="module")
def marian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that bans tokens and a run of them, and forces the end."""
    return checkpoint("marian", tmp_path_factory.mktemp("marian") / "opus")


@pytest.fixture(scope="module")
def export(marian: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(marian, tmp_path_factory.mktemp("exports") / "opus")


@pytest.mark.slow
def test_a_marian_model_writes_what_transformers_has_it_write(
    marian: Path, export: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """So does `zoo translate` with the folder itself."""
    assert_same_outputs(marian, export)
    lines = tmp_path / "lines.txt"
    lines.write_text("\n".join(LINES))
    capfdbinary.readouterr()
    assert main(["translate", str(marian), str(lines), "--threads", "1"]) == 0
    assert [line.strip() for line in capfdbinary.readouterr().out.decode().splitlines()] == outputs_of(marian, LINES)


@pytest.mark.slow
@pytest.mark.both
def test_optimum_loads_it_and_writes_what_transformers_has_it_write(marian: Path, export: Path) -> None:
    optimum = pytest.importorskip("optimum.onnxruntime", reason="needs transformers < 4.58")
    model, tokenizer = optimum.ORTModelForSeq2SeqLM.from_pretrained(export), AutoTokenizer.from_pretrained(export)
    encoded = tokenizer(LINES, padding=True, return_tensors="pt")
    for settings in ({}, {"num_beams": 1, "early_stopping": False}):
        ids = model.generate(encoded["input_ids"], attention_mask=encoded["attention_mask"], **settings)
        assert tokenizer.batch_decode(ids, skip_special_tokens=True) == outputs_of(marian, LINES, **settings)


@pytest.mark.soak
@pytest.mark.parametrize("kind", KINDS)
def test_models_of_each_type_write_what_transformers_has_them_write(tmp_path: Path, kind: str) -> None:
    folder = checkpoint(kind, tmp_path / kind)
    assert_same_outputs(folder, exported(folder, tmp_path / "out"))


REFUSED: list[tuple[str, Callable[[Path], None], str]] = [
    ("sampling", lambda folder: change(folder, {"do_sample": True}), "do_sample: True: no runtime of exports decodes"),
    ("two ends", lambda folder: change(folder, {"eos_token_id": [0, 5]}), r"one end token, found \[0, 5\]"),
    (
        "another type",
        lambda folder: change(folder, {"model_type": "pegasus"}, "config.json"),
        "model_type 'pegasus' is none of those that are exported: marian, bart",
    ),
    (
        "pickles",
        lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin") and None,
        "pickle pytorch_model.bin alone; pickles can run code",
    ),
    (
        "code of its own",
        lambda folder: change(folder, {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Mine"}}, "config.json"),
        "model_type 'mine' is none of those",
    ),
    (
        "a damaged file",
        lambda folder: (folder / "model.safetensors").write_bytes(b"no weights") and None,
        "cannot be loaded",
    ),
]


@pytest.mark.parametrize(("change_it", "expected"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_what_cannot_be_exported_is_refused_before_anything_is_written(
    marian: Path, tmp_path: Path, change_it: Callable[[Path], None], expected: str
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for file in marian.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    change_it(folder)
    with pytest.raises(InputError, match=expected):
        exported(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_plain_model_needs_sources_to_be_compared_on(marian: Path, tmp_path: Path) -> None:
    exporter = current_registry().get("exporter", "onnx")
    with pytest.raises(InputError, match="no data of its own to be compared on: give --sources FILE"):
        export_model(marian, tmp_path / "out", Chosen(exporter, exporter.load_options()()))
    assert not list(tmp_path.rglob(EXPORT_FILE))
