"""`model.from` a folder that zoo wrote: the section that its configuration carries, and its mistakes, without torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from zoo.errors import InputError
from zoo.spec import load_spec, resolve

MODEL: dict[str, Any] = {
    "d_model": 16,
    "heads": 2,
    "encoder": {"layers": 1, "position": {"use": "zoo-positional/rotary", "base": 500.0}},
    "decoder": {"layers": 2},
    "position": {"use": "zoo-positional/learned", "std": 0.3},
    "block": {"use": "zoo-blocks/post-norm"},
    "normalization": {"use": "zoo-blocks/layer-norm", "eps": 1e-4},
    "feedforward": {"use": "zoo-blocks/mlp", "width": 24, "activation": {"use": "zoo-blocks/relu"}},
    "fusion": {"use": "zoo-fusion/top"},
    "dropout": 0.25,
    "pretrained": {"path": "opus", "type": "marian", "revision": "sha256:" + "0" * 64, "vocab_size": 9, "pad": 8}
    | {"eos": 0, "decoder_start": 8},
}
LANGUAGE_MODEL = {key: value for key, value in MODEL.items() if key not in {"encoder", "fusion"}}
LANGUAGE_MODEL |= {"architecture": "causal-lm"}
SPEC: dict[str, Any] = {
    "name": "begun",
    "task": {"use": "translation", "corpus": "generated", "source": "qaa", "target": "qab"},
    "tokenizer": "pretrained",
    "training": {
        "steps": 1,
        "objective": "cross-entropy",
        "optimizer": "adamw",
        "schedule": "constant",
        "clipping": "none",
    },
    "decoding": {"strategy": "greedy"},
    "evaluation": {"metrics": ["bleu"]},
}


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """``folder(training={...}, vocab_size=50)``: a folder of zoo, with what stands for weights."""

    def write(training: dict[str, Any] | None = None, model: dict[str, Any] = MODEL, **changes: Any) -> Path:
        found = tmp_path / "run"
        found.mkdir()
        config = {"model_type": "zoo", "model": model, "vocab_size": 40, "plugins": {"zoo-blocks": "0.1.0"}, **changes}
        config |= {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2, "decoder_start_token_id": 0}
        (found / "config.json").write_text(json.dumps(config))
        (found / "model.safetensors").write_bytes(b"weights")
        (found / "generation_config.json").write_text(json.dumps({"num_beams": 4, "forced_eos_token_id": 1}))
        if training is not None:
            (found / "training.json").write_text(json.dumps(training))
        return found

    return write


@pytest.fixture
def spec_of(tmp_path: Path) -> Callable[..., Path]:
    def write(model: Any, **changes: Any) -> Path:
        path = tmp_path / "spec.yaml"
        path.write_text(yaml.safe_dump({**SPEC, "model": model, **changes}, sort_keys=False))
        return path

    return write


def test_the_section_is_the_folders_own_and_says_where_it_is_from(folder: Any, spec_of: Any) -> None:
    spec = load_spec(spec_of({"from": str(folder())}))
    own = resolve({**SPEC, "tokenizer": "bpe", "model": {**MODEL, "pretrained": None}})
    assert {**spec.model.plain(), "pretrained": None} == own.model.plain()
    ids = spec.model.pretrained
    assert ids is not None
    assert (ids.type, ids.vocab_size, ids.decoder_vocab_size, ids.target_tokenizer) == ("zoo", 40, None, False)
    assert (ids.pad, ids.eos, ids.bos, ids.decoder_start, ids.forced_eos) == (0, 1, 2, 0, 1)
    assert not spec.has_separate_tokenizers
    assert resolve(spec.plain()) == spec


def test_each_side_keeps_the_vocabulary_and_the_tokenizer_that_it_has(folder: Any, spec_of: Any) -> None:
    place = folder(model={**MODEL, "tie_embeddings": "decoder"}, encoder_vocab_size=30)
    (place / "target_tokenizer").mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (place / "target_tokenizer" / name).write_text("{}")
    spec = load_spec(spec_of({"from": str(place)}))
    ids = spec.model.pretrained
    assert ids is not None
    assert (ids.vocab_size, ids.decoder_vocab_size, ids.target_tokenizer) == (30, 40, True)
    assert spec.has_separate_tokenizers
    assert not load_spec(spec_of({"from": str(place)}, tokenizer="bpe")).has_separate_tokenizers


def test_a_graft_on_a_stack_goes_to_the_scheme_of_that_stack(folder: Any, spec_of: Any) -> None:
    graft = {"encoder": {"position": {"layout": "interleaved"}}, "decoder": {"position": {"std": 0.7}}}
    model = load_spec(spec_of({"from": str(folder()), "graft": graft, "dropout": 0.5})).model
    first, second = model.stack("encoder").position, model.stack("decoder").position
    assert first is not None
    assert second is not None
    assert (first.name, first.plain()["base"], first.plain()["layout"]) == ("rotary", 500.0, "interleaved")
    assert (second.name, second.plain()["std"]) == ("learned", 0.7)
    assert model.dropout == 0.5


def test_a_language_model_begins_with_one_of_zoo_alone(folder: Any, spec_of: Any) -> None:
    spec = load_spec(spec_of({"from": str(folder(model=LANGUAGE_MODEL))}))
    assert spec.model.architecture == "causal-lm"
    assert spec.model.pretrained is not None
    plain = spec.plain()
    plain["model"]["pretrained"]["type"] = "marian"
    with pytest.raises(InputError, match="a causal-lm has no pretrained: leave 'pretrained' out"):
        resolve(plain)


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"plugins": {"zoo-acme": "1.2"}}, "needs the plugin 'zoo-acme' (1.2), not installed here: pip install zoo-acme"),
    ({"model": {**MODEL, "position": {"use": "zoo-positional/spiral"}}}, "'zoo-positional/spiral'"),
    ({"model": {}}, "missing key 'd_model'"),
    ({"model": [1]}, "config.json: 'model': expected an object, found"),
    ({"model": {**MODEL, "architecture": "detector"}}, "no spec begins with a model that finds boxes yet"),
    ({"training": {"status": "running"}}, "'zoo train ... --resume' continues it"),
    (
        {"training": {"status": "nan", "total_steps": 9, "model_step": 0}},
        "holds a run that failed (status nan) before its first checkpoint",
    ),
]


@pytest.mark.parametrize(("changes", "told"), MISTAKES, ids=[told[:30] for _, told in MISTAKES])
def test_a_folder_that_cannot_be_begun_with_is_told_with_the_place_of_from(
    folder: Any, spec_of: Any, tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    path = spec_of({"from": str(folder(**changes))})
    with pytest.raises(InputError) as error:
        load_spec(path)
    lines = str(error.value).splitlines()
    assert all(line.startswith(f"{path}:") for line in lines)
    assert told in lines[0]


def test_of_an_interrupted_run_the_newest_complete_checkpoint_is_named(folder: Any, spec_of: Any) -> None:
    place = folder(training={"status": "running"})
    for step, complete in ((100, True), (200, True), (300, False)):
        checkpoint = place / "checkpoints" / f"step-{step:08}"
        checkpoint.mkdir(parents=True)
        if complete:
            (checkpoint / "complete.json").write_text("{}")
    with pytest.raises(InputError, match=f"begin with its newest checkpoint, {place}/checkpoints/step-00000200$"):
        load_spec(spec_of({"from": str(place)}))


def test_checking_it_imports_no_torch(folder: Any, spec_of: Any, tmp_path: Path) -> None:
    program = """
import sys
from zoo.cli.main import main
status = main(["check", sys.argv[1]])
heavy = sorted({"torch", "transformers", "numpy", "safetensors"} & set(sys.modules))
sys.stderr.write(f"status={status} heavy={heavy}")
"""
    path = spec_of({"from": str(folder())})
    found = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "ZOO_HOME": str(tmp_path)},
    )
    assert found.stderr == "status=0 heavy=[]"
