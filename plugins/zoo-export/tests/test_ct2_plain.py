"""Plain seq2seq models of transformers, exported for CTranslate2, against themselves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from zoo.export.exporting import export_model
from zoo.export.folder import Export
from zoo.export.runtime import load
from zoo.registry import current_registry
from zoo.spec.options import Chosen
from zoo.testing.checkpoints import outputs_of, texts, write_checkpoint
from zoo.testing.surroundings import one_thread

KINDS = ["marian-apart", "m2m100", "nllb", "bart", "mbart", "t5", "mt5"]
SEARCH = {
    "num_beams": 3,
    "length_penalty": 0.7,
    "early_stopping": True,
    "max_length": 15,
    "renormalize_logits": True,
    "forced_eos_token_id": None,
}
SIDES = ("source", "target")
LINES = texts(seed=11, count=12)


def exported(kind: str, folder: Path, out: Path) -> Export:
    """An export of a checkpoint of that kind, of random weights, which decodes by beams."""
    write_checkpoint(kind, folder)
    settings = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps(settings | SEARCH))
    exporter = current_registry().get("exporter", "ctranslate2")
    with one_thread():
        return export_model(folder, out, Chosen(exporter, exporter.load_options()()), sources=LINES)


def assert_same_outputs(kind: str, tmp_path: Path) -> None:
    folder, out = tmp_path / kind, tmp_path / "out"
    export = exported(kind, folder, out)
    assert export.kind == "ctranslate2"
    assert export.parity is not None
    assert export.parity.largest_difference < 2e-5
    translator = load(out, threads=1)
    with one_thread():
        expected = outputs_of(folder, LINES)
        assert translator.translate(LINES, width=1) == outputs_of(folder, LINES, num_beams=1, early_stopping=False)
    assert len(set(expected)) > 1
    if not any("forced first" in note for note in export.notes):
        assert export.notes == []
        assert translator.translate(LINES) == expected


@pytest.mark.slow
def test_a_marian_model_writes_what_transformers_has_it_write(tmp_path: Path) -> None:
    """It bans its padding, a token and a run, in beams too, as probabilities are normalised without them."""
    assert_same_outputs("marian", tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("kind", KINDS)
def test_models_of_each_type_write_what_transformers_has_them_write(tmp_path: Path, kind: str) -> None:
    assert_same_outputs(kind, tmp_path)
    if kind == "marian-apart":
        read, own = (json.loads((tmp_path / "out" / f"{side}_vocabulary.json").read_text()) for side in SIDES)
        names = json.loads((tmp_path / kind / "target_vocab.json").read_text())
        assert own == sorted(names, key=lambda name: names[name])
        assert read != own
