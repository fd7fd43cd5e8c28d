"""Specs that begin with a model of zoo's own: what is kept, what is new, and that training goes on from it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoints import SPEC
from safetensors.torch import load_file, save_file

from zoo.cli.main import main
from zoo.errors import InputError
from zoo.models.tokenizers import load_tokenizers
from zoo.spec import load_spec, resolve
from zoo.spec.lock import read_lock
from zoo.tasks import DataHome
from zoo.testing.surroundings import one_thread
from zoo.training import build, load_run, train
from zoo.training.outcome import read_outcome
from zoo.training.preparation import tokenizers_hash

MODEL: dict[str, Any] = {
    "d_model": 16,
    "heads": 2,
    "encoder": {"layers": 1},
    "decoder": {"layers": 2},
    "position": {"use": "learned", "std": 0.3},
    "block": "post-norm",
    "normalization": {"use": "layer-norm", "eps": 1e-4},
    "feedforward": {"use": "mlp", "width": 24, "activation": "relu"},
    "fusion": "top",
    "max_positions": 64,
}
SGD = {"use": "sgd", "lr": 0.3}
TRAINED: dict[str, Any] = {**SPEC["training"], "optimizer": SGD, "evaluate_every": 2, "save_every": 1}
KINDS: dict[str, dict[str, Any]] = {
    "shared": {"model": MODEL, "tokenizer": {"use": "unigram", "vocab_size": 80}, "training": TRAINED},
    "apart": {
        "model": {
            **MODEL,
            "tie_embeddings": "decoder",
            "output_bias": True,
            "encoder": {"layers": 1, "position": {"use": "rotary", "base": 500}},
            "decoder": {"layers": 2, "cross_position": "t5"},
            "output_fusion": "surface-soft",
            "context_encoder": {"use": "gated", "layers": 1},
        },
        "tokenizer": {"use": "unigram", "vocab_size": 60},
        "target_tokenizer": {"use": "bpe", "vocab_size": 90},
    },
    "causal-lm": {
        "model": {
            **{key: value for key, value in MODEL.items() if key not in {"encoder", "fusion"}},
            "architecture": "causal-lm",
            "tie_embeddings": "none",
        },
        "tokenizer": {"use": "byte-level", "vocab_size": 300},
    },
}


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    with one_thread():
        yield


@pytest.fixture(scope="session")
def home(tmp_path_factory) -> DataHome:
    return DataHome(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def start(tmp_path_factory, home) -> Callable[[str], Path]:
    """``start("apart")``: a folder that zoo wrote, the same for all tests; "run" is one that was trained."""
    made: dict[str, Path] = {}

    def of(kind: str) -> Path:
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp("starts") / kind
            spec = resolve({**SPEC, **KINDS["shared" if kind == "run" else kind]})
            train(spec, made[kind], home=home) if kind == "run" else _shaken(build(spec, made[kind], home).directory)
        return made[kind]

    return of


def _shaken(folder: Path) -> None:
    """Numbers in the place of the zeros and ones that biases and norms begin with."""
    tensors = load_file(folder / "model.safetensors")
    draw = torch.Generator().manual_seed(2)
    for tensor in tensors.values():
        tensor += torch.randn(tensor.shape, generator=draw) * 0.1
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.fixture
def begin(write_spec, home, tmp_path) -> Callable[..., Any]:
    """``begin(folder, graft)``: what `zoo build` makes of a spec that begins with the folder."""

    def make(folder: Path, graft: Any = None, **changes: Any) -> Any:
        spec = load_spec(write_spec(folder, graft, **changes))
        return build(spec, tmp_path / f"built-{len(list(tmp_path.iterdir()))}", home)

    return make


def _scores(model: Any, tokenizers: Any, lines: list[str]) -> torch.Tensor:
    encoded = tokenizers.source(lines, return_tensors="pt", padding=True)
    labels = torch.arange(4, 18).reshape(2, 7)
    with torch.no_grad():
        return model.eval().target_logits(encoded, labels)


def _outputs(model: Any, tokenizers: Any, lines: list[str]) -> list[list[int]]:
    encoded = tokenizers.source(lines, return_tensors="pt", padding=True)
    return model.eval().generate(**model.prompts(encoded), max_new_tokens=9, do_sample=False).tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_changed_is_the_same_model_bit_for_bit(kind, start, begin):
    folder = start(kind)
    old, new = load_run(folder), begin(folder)
    assert not new.report.new
    assert not new.report.dropped
    saved = [set(load_file(place / "model.safetensors")) for place in (folder, new.directory)]
    assert {item.target for item in new.report.kept} == saved[0] == saved[1]
    lines = [example.source for example in new.prepared.task.examples("test")[:2]]
    again = load_run(new.directory)
    assert tokenizers_hash(again.tokenizers) == tokenizers_hash(old.tokenizers)
    assert again.tokenizers.shared == (kind != "apart")
    assert torch.equal(_scores(again.model, again.tokenizers, lines), _scores(old.model, old.tokenizers, lines))
    assert _outputs(again.model, again.tokenizers, lines) == _outputs(old.model, old.tokenizers, lines)
    sections = [run.model.config.section().plain() for run in (old, again)]
    assert {**sections[1], "pretrained": None} == {**sections[0], "pretrained": None}


def test_another_position_scheme_keeps_the_rest(start, begin):
    old = load_file(start("shared") / "model.safetensors")
    new = begin(start("shared"), {"position": "rotary"})
    tables = ["decoder.position.table", "encoder.position.table"]
    assert new.report.dropped == {
        name: f"{name.partition('.')[0]} position: rotary instead of learned" for name in tables
    }
    assert not new.report.new
    held = new.model.state_dict()
    assert {item.target for item in new.report.kept} == set(old) - set(tables)
    assert all(torch.equal(held[item.target], old[item.target]) for item in new.report.kept)
    longer = begin(start("shared"), model={"max_positions": 70})
    assert longer.report.new == dict.fromkeys(tables, "another max_positions")


def test_what_a_model_has_can_be_left_out_and_a_stack_keeps_its_own_options(start, begin):
    graft = {
        "encoder": {"position": {"layout": "interleaved"}},
        "decoder": {"cross_position": None},
        "output_fusion": None,
        "context_encoder": None,
    }
    new = begin(start("apart"), graft)
    assert not new.report.new
    assert set(new.report.dropped.values()) == {
        "decoder cross_position: none instead of t5",
        "output_fusion: none instead of surface-soft",
        "context_encoder: none instead of gated",
    }
    position = new.model.section.stack("encoder").position
    assert (position.name, position.options.base, position.options.layout) == ("rotary", 500, "interleaved")


def test_another_normalization_is_new_wherever_it_stands(start, begin):
    new = begin(start("apart"), {"normalization": "rms-norm"}).report
    places = ("block.norms", "final_norm", "embedding_norm")
    assert new.new
    assert all(any(place in name for place in places) for name in [*new.new, *new.dropped])
    assert any(name.startswith("encoder.context_stack.layers.0.block.norms") for name in new.new)
    lost = "encoder.context_encoder.block.norms.0.bias"
    assert new.dropped[lost] == "another normalization in the context encoder"


def test_tokens_of_another_task_get_rows_on_both_sides_once(start, begin):
    task = {**SPEC["task"], "use": "doc2sent", "context_sentences": 1, "context_as": "prefix"}
    new = begin(start("apart"), task=task)
    assert {item.target: item.new_rows for item in new.report.kept if item.new_rows} == {
        "encoder.embed_tokens.weight": 1,
        "decoder.embed_tokens.weight": 1,
        "output_bias": 1,
    }
    assert new.report.parameters["new"] == 2 * 16 + 1
    again = begin(new.directory, task=task)
    assert not any(item.new_rows for item in again.report.kept)
    assert tokenizers_hash(again.tokenizers) == tokenizers_hash(new.tokenizers)


def test_another_vocabulary_begins_anew_on_the_same_body(start, begin):
    new = begin(start("shared"), tokenizer={"use": "bpe", "vocab_size": 70})
    assert new.report.new == {"encoder.embed_tokens.weight": "another vocabulary"}
    assert new.model.config.vocab_size == 70


@pytest.mark.slow
def test_training_goes_on_where_it_ended(start, write_spec, home, tmp_path):
    ended = read_outcome(start("run")).curve[-1].dev_loss
    still = {**TRAINED, "optimizer": {**SGD, "lr": 1e-30}, "steps": 1, "evaluate_every": 1}
    spec = load_spec(write_spec(start("run"), training=still))
    assert train(spec, tmp_path / "still", home=home).curve[-1].dev_loss == ended
    spec = load_spec(write_spec(start("run"), training={**TRAINED, "steps": 8, "evaluate_every": 8}))
    assert train(spec, tmp_path / "on", home=home).curve[-1].dev_loss < ended


@pytest.mark.slow
def test_a_checkpoint_of_a_run_is_one_too_with_the_tokenizer_of_the_run(start, begin):
    folder = start("run")
    new = begin(folder / "checkpoints" / "step-00000002")
    weights = load_file(folder / "checkpoints" / "step-00000002" / "model.safetensors")
    assert all(torch.equal(new.model.state_dict()[name], tensor) for name, tensor in weights.items())
    assert tokenizers_hash(new.tokenizers) == tokenizers_hash(load_tokenizers(folder))


@pytest.mark.slow
def test_of_a_run_that_averaged_the_average_is_read(start, write_spec, home, tmp_path, begin):
    training = {**TRAINED, "averaging": {"use": "ema", "decay": 0.5}}
    train(load_spec(write_spec(start("run"), training=training)), tmp_path / "run", home=home)
    average, last = (load_file(tmp_path / place / "model.safetensors") for place in ("run", "run/last"))
    name = "decoder.layers.0.feedforward.up.weight"
    assert not torch.equal(average[name], last[name])
    assert torch.equal(begin(tmp_path / "run").model.state_dict()[name], average[name])
    assert torch.equal(begin(tmp_path / "run" / "last").model.state_dict()[name], last[name])


def test_its_lock_gives_the_same_model_and_tells_when_the_folder_has_changed(
    start, write_spec, tmp_path, capsys, monkeypatch, home
):
    monkeypatch.setenv("ZOO_HOME", str(home.root))
    folder = tmp_path / "copy"
    shutil.copytree(start("shared"), folder)
    spec = write_spec(folder, {"position": "alibi"})
    assert main(["build", str(spec), "--out", str(tmp_path / "one")]) == 0
    assert f"read from {folder} (zoo): " in capsys.readouterr().out
    lock = tmp_path / "one" / "zoo.lock.yaml"
    assert main(["build", str(lock), "--out", str(tmp_path / "two"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["content"] == read_lock(lock).file.content.model_dump()
    tensors = load_file(folder / "model.safetensors")
    tensors["encoder.embed_tokens.weight"] += 1
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    assert main(["build", str(lock), "--out", str(tmp_path / "three")]) == 1
    assert "drift: content.pretrained: locked sha256:" in capsys.readouterr().err


def test_a_tied_matrix_may_stand_in_the_file_twice(start, begin, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(start("shared"), folder)
    tensors = load_file(folder / "model.safetensors")
    tensors["lm_head.weight"] = tensors["encoder.embed_tokens.weight"].clone()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    new = begin(folder)
    kept = {item.target: item.sources for item in new.report.kept}
    assert set(kept["encoder.embed_tokens.weight"]) == {"encoder.embed_tokens.weight", "lm_head.weight"}
    assert not new.report.dropped


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: t.pop("decoder.layers.1.feedforward.up.bias"), "lacks the weights 'decoder.layers.1.feedforward.up"),
        (lambda t: t.update({"decoder.other": torch.zeros(2)}), "the model has no place for decoder.other"),
        (
            lambda t: t.update({"decoder.layers.1.feedforward.up.bias": torch.zeros(3)}),
            "expected the shape [24] for decoder.layers.1.feedforward.up.bias, found [3]",
        ),
    ],
    ids=["missing", "unknown", "shape"],
)
def test_a_folder_that_is_not_what_it_says_is_refused_in_one_line(change, told, start, begin, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(start("shared"), folder)
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError) as error:
        begin(folder)
    assert told in str(error.value)
    assert "\n" not in str(error.value)
