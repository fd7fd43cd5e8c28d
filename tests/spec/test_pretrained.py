"""`model.from` and `model.graft`: what they resolve to, and their mistakes, without torch."""

from __future__ import annotations

import hashlib
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
from zoo.spec import Spec, load_cells, load_spec, resolve, spec_hash

MARIAN: dict[str, Any] = {
    "model_type": "marian",
    "vocab_size": 60,
    "d_model": 24,
    "encoder_layers": 2,
    "decoder_layers": 1,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 40,
    "decoder_ffn_dim": 40,
    "max_position_embeddings": 50,
    "activation_function": "swish",
    "scale_embedding": True,
    "dropout": 0.15,
    "init_std": 0.05,
    "pad_token_id": 59,
    "eos_token_id": 0,
    "decoder_start_token_id": 59,
    "forced_eos_token_id": 0,
    "bad_words_ids": [[59]],
}
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
def checkpoint(tmp_path: Path) -> Callable[..., Path]:
    """``checkpoint(d_model=16)``: a folder with Marian's config.json, changed so, and what stands for weights."""

    def write(name: str = "checkpoint", without: tuple[str, ...] = (), **changes: Any) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        config = {key: value for key, value in {**MARIAN, **changes}.items() if key not in without}
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "model.safetensors").write_bytes(b"weights")
        return folder

    return write


@pytest.fixture
def spec_of(tmp_path: Path) -> Callable[..., Path]:
    def write(model: Any, **changes: Any) -> Path:
        path = tmp_path / "spec.yaml"
        path.write_text(yaml.safe_dump({**SPEC, "model": model, **changes}, sort_keys=False))
        return path

    return write


Load = Callable[..., Spec]


@pytest.fixture
def load(checkpoint: Callable[..., Path], spec_of: Callable[..., Path]) -> Load:
    """``load(graft={...}, d_model=16)``: the spec of a checkpoint that has been changed so."""

    def make(model: dict[str, Any] | None = None, sets: tuple[str, ...] = (), **changes: Any) -> Spec:
        return load_spec(spec_of({"from": str(checkpoint(**changes)), **(model or {})}), sets)

    return make


def test_the_section_says_all_that_the_configuration_says(load: Load) -> None:
    model = load().model
    assert (model.d_model, model.heads, model.encoder_layers, model.decoder.layers) == (24, 4, 2, 1)
    assert (model.dropout, model.max_positions, model.embedding_std) == (0.15, 50, 0.05)
    assert model.position.plain() == {"use": "zoo-positional/sinusoidal", "layout": "halves", "base": 10000.0}
    assert model.feedforward.options.plain()["activation"] == {"use": "zoo-blocks/silu"}
    assert model.feedforward.options.plain()["width"] == 40
    assert model.pretrained is not None
    ids = model.pretrained
    assert (ids.vocab_size, ids.pad, ids.eos, ids.bos, ids.decoder_start, ids.forced_eos) == (60, 59, 0, None, 59, 0)
    assert ids.banned == [[59]]


def test_the_resolved_spec_resolves_to_itself(load: Load) -> None:
    spec = load({"graft": {"position": "rotary"}})
    again = resolve(spec.plain())
    assert again == spec
    assert spec_hash(again) == spec_hash(spec)


def test_a_copy_of_a_checkpoint_is_the_same_and_other_weights_are_not(checkpoint: Any, spec_of: Any) -> None:
    found = []
    for name in ("one", "copy", "other"):
        folder = checkpoint(name)
        if name == "other":
            (folder / "model.safetensors").write_bytes(b"WEIGHTS")
        pretrained = load_spec(spec_of({"from": str(folder)})).model.pretrained
        assert pretrained is not None
        found.append(pretrained.revision)
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize(
    ("graft", "expected"),
    [
        ({"position": "rotary"}, {"position": "rotary"}),
        ({"position": {"layout": "interleaved"}}, {"position.layout": "interleaved", "position": "sinusoidal"}),
        ({"feedforward": "mlp"}, {"feedforward.width": 40}),
        (
            {"feedforward": {"activation": "gelu"}},
            {"feedforward.width": 40, "feedforward.activation.use": "zoo-blocks/gelu"},
        ),
        ({"feedforward": "swiglu"}, {"feedforward": "swiglu", "feedforward.width": None}),
        ({"encoder": {"position": {"base": 100.0}}}, {"encoder.position.base": 100.0, "encoder.layers": 2}),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_graft_replaces_a_component_or_some_of_its_options(
    load: Load, graft: dict[str, Any], expected: dict[str, Any]
) -> None:
    plain = load({"graft": graft}).model.plain()
    for path, value in expected.items():
        found: Any = plain
        for step in path.split("."):
            found = found[step]
        assert (found["use"].rpartition("/")[2] if isinstance(found, dict) else found) == value


def test_sets_and_grids_reach_into_grafts(checkpoint: Any, spec_of: Any) -> None:
    path = spec_of({"from": str(checkpoint())}, grid={"model.graft.position": ["rotary", "alibi"]})
    cells = load_cells(path, ["model.dropout=0.3", "model.graft.normalization=rms-norm"])
    assert [cell.label for cell in cells] == ["position=rotary", "position=alibi"]
    assert [cell.spec.model.position.name for cell in cells] == ["rotary", "alibi"]
    assert {(cell.spec.model.dropout, cell.spec.model.normalization.name) for cell in cells} == {(0.3, "rms-norm")}


MISTAKES = [
    ({"model_type": "gpt2"}, {}, "model_type 'gpt2' cannot be read: known: bart, marian, mbart, mt5, t5"),
    ({"model_type": "mbartt"}, {}, "did you mean 'mbart'"),
    ({"decoder_attention_heads": 2}, {}, "'encoder_attention_heads' 4 and 'decoder_attention_heads' 2 differ"),
    ({"activation_function": "mish"}, {}, "'activation_function': no activation 'mish' here"),
    ({"d_model": "wide"}, {}, "config.json: 'd_model': expected a whole number, found 'wide'"),
    ({"eos_token_id": [0, 1]}, {}, "'eos_token_id': expected a whole number"),
    ({"without": ("vocab_size",)}, {}, "config.json: 'vocab_size' is missing"),
    ({}, {"graft": {"positon": "rotary"}}, "'positon' is no component of a model: did you mean 'position'"),
    ({}, {"graft": {"encoder": {"layers": 3}}}, "'encoder.layers' is no component of a stack"),
    ({}, {"graft": {"position": "rotari"}}, "unknown position 'rotari': did you mean 'rotary'"),
    ({}, {"graft": {"position": None}}, "expected the name of a position or {use: NAME, ...}, found nothing"),
    ({}, {"graft": ["rotary"]}, "'graft': expected a mapping of slots to components"),
    ({}, {"heads": 8}, "'heads' comes from the pretrained model"),
    ({}, {"dropout": 2}, "expected a number less than 1"),
]


@pytest.mark.parametrize(("config", "model", "told"), MISTAKES, ids=[told[:30] for *_, told in MISTAKES])
def test_a_mistake_is_one_line_with_its_place(
    load: Load, tmp_path: Path, config: dict[str, Any], model: dict[str, Any], told: str
) -> None:
    with pytest.raises(InputError) as error:
        load(model, **config)
    text = str(error.value)
    assert told in text
    assert "\n" not in text
    assert text.startswith(f"{tmp_path / 'spec.yaml'}:")


def test_grafts_and_pretrained_tokenizers_need_a_pretrained_model(spec_of: Any, checkpoint: Any) -> None:
    with pytest.raises(InputError, match="'graft' replaces parts of a pretrained model: say which with 'from'"):
        load_spec(spec_of({"graft": {"position": "rotary"}}))
    whole = load_spec(spec_of({"from": str(checkpoint())})).model.plain()
    with pytest.raises(InputError, match=r"'pretrained' is the tokenizer of a pretrained model.*give model\.from"):
        load_spec(spec_of({**whole, "pretrained": None}))
    with pytest.raises(InputError, match="'pretrained' reads both sides: leave out target_tokenizer"):
        load_spec(spec_of({**whole, "tie_embeddings": "none"}, target_tokenizer="bpe"))
    with pytest.raises(InputError, match="pretrained model share a matrix: leave out target_tokenizer"):
        load_spec(spec_of({"from": str(checkpoint("another"))}, target_tokenizer="bpe"))


def test_pickles_are_refused_with_the_way_to_convert_them(load: Load, checkpoint: Any, spec_of: Any) -> None:
    folder = checkpoint()
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(InputError) as error:
        load_spec(spec_of({"from": str(folder)}))
    text = str(error.value)
    assert "has its weights as the pickle pytorch_model.bin alone; pickles can run code when loaded" in text
    assert "save_pretrained('FOLDER', safe_serialization=True)" in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("write", "told"),
    [
        (
            lambda folder: (folder / "config.json").unlink(),
            "no config.json there: not the folder of a pretrained model",
        ),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json is no JSON"),
        (lambda folder: (folder / "config.json").write_text("[1]"), "config.json: expected a JSON object"),
        (lambda folder: (folder / "model.safetensors").unlink(), "has no model.safetensors"),
        (lambda folder: _index(folder, {"a": "../../secret.safetensors"}), "not one of this folder's safetensors"),
    ],
    ids=["no configuration", "no JSON", "no object", "no weights", "weights outside"],
)
def test_a_folder_that_is_no_checkpoint_is_one_line(checkpoint: Any, spec_of: Any, write: Any, told: str) -> None:
    folder = checkpoint()
    write(folder)
    with pytest.raises(InputError) as error:
        load_spec(spec_of({"from": str(folder)}))
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def _index(folder: Path, places: dict[str, str]) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))


PROGRAM = """
import sys
from zoo.cli.main import main
status = main(["check", sys.argv[1]])
heavy = sorted({"torch", "transformers", "numpy"} & set(sys.modules))
sys.stderr.write(f"status={status} heavy={heavy}")
"""


def _check(path: Path, home: Path) -> str:
    environment = {**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "ZOO_HOME": str(home)}
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path)], capture_output=True, text=True, timeout=60, env=environment
    )
    return run.stderr


def test_a_model_of_the_hub_is_read_from_its_cache_without_a_network_and_without_torch(
    checkpoint: Any, spec_of: Any, tmp_path: Path
) -> None:
    repository = tmp_path / "hub" / "models--someone--tiny"
    snapshot = repository / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    (repository / "blobs").mkdir()
    folder = checkpoint()
    for name in ("config.json", "model.safetensors"):
        content = (folder / name).read_bytes()
        blob = repository / "blobs" / hashlib.sha256(content).hexdigest()
        blob.write_bytes(content)
        (snapshot / name).symlink_to(blob)
    assert _check(spec_of({"from": "someone/tiny"}), tmp_path) == "status=0 heavy=[]"
    told = _check(spec_of({"from": "someone/other"}), tmp_path)
    assert "'from': someone/other: no such folder, and the Hugging Face hub cannot be reached" in told
    assert told.count("\n") == 1
    assert told.endswith("status=2 heavy=[]")


def test_the_hub_is_asked_once_for_each_file_whatever_the_grid(
    checkpoint: Any, spec_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, asked = checkpoint(), []
    (folder / "generation_config.json").write_text("{}")

    def download(repository: str, name: str) -> str:
        asked.append((repository, name))
        return str(folder / name)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    path = spec_of({"from": "someone/asked-once"}, grid={"model.graft.position": ["rotary", "alibi"], "seed": [1, 2]})
    assert len(load_cells(path)) == 4
    assert sorted(name for _, name in asked) == ["config.json", "generation_config.json", "model.safetensors"]


def test_what_is_neither_a_folder_nor_a_name_is_not_asked_of_the_hub(spec_of: Any) -> None:
    told = r"spec\.yaml:\d+:\d+: model: 'from': \./no/such folder: no such folder; expected one with"
    with pytest.raises(InputError, match=told):
        load_spec(spec_of({"from": "./no/such folder"}))


@pytest.mark.parametrize("name", ["scale_output", "output_bias", "pretrained"])
def test_a_language_model_has_no_part_of_a_pretrained_encoder_decoder(load: Load, name: str) -> None:
    spec = load().plain()
    given = spec["model"][name] or True
    off = {"scale_output": False, "output_bias": False, "pretrained": None}
    spec["model"] |= {"architecture": "causal-lm", "encoder": None, "fusion": None, **off, name: given}
    spec["tokenizer"] = "bpe"
    with pytest.raises(InputError, match=f"a causal-lm has no {name}: leave '{name}' out"):
        resolve(spec)
