"""`zoo build`, `train` and `evaluate` of a spec that begins with a pretrained model."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest
import yaml
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSeq2SeqLM

from zoo.cli.main import main
from zoo.models import count_parameters
from zoo.models.tokenizers import load_tokenizers
from zoo.spec.lock import read_lock
from zoo.tasks import DataHome


@pytest.fixture(autouse=True)
def _home(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("ZOO_HOME", str(tmp_path_factory.getbasetemp() / "zoo-home"))


def test_building_tells_what_was_kept_and_a_lock_tells_when_the_checkpoint_has_changed(
    checkpoint, write_spec, tmp_path, capsys
):
    folder = tmp_path / "checkpoint"
    shutil.copytree(checkpoint("bart"), folder)
    assert main(["build", str(write_spec(folder, {"position": "rotary"})), "--out", str(tmp_path / "one")]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[1].startswith(f"read from {folder} (bart): ")
    assert any(line.startswith("  left behind, encoder position: rotary instead of learned: ") for line in told)
    report = json.loads((tmp_path / "one" / "graft.json").read_text())
    assert len(report["kept"]) == int(told[1].split(": ")[1].split()[0])
    saved = load_file(tmp_path / "one" / "model.safetensors")
    assert {item["to"] for item in report["kept"]} == set(saved)

    lock = tmp_path / "one" / "zoo.lock.yaml"
    content = yaml.safe_load(lock.read_text())["content"]
    assert main(["build", str(lock), "--out", str(tmp_path / "two"), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["content"] == content
    assert answer["graft"] == report

    tensors = load_file(folder / "model.safetensors")
    tensors["model.encoder.layers.0.fc1.bias"] += 1
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    assert main(["build", str(lock), "--out", str(tmp_path / "three")]) == 1
    drifts = capsys.readouterr().err.splitlines()
    assert drifts[0].startswith(f"drift: content.pretrained: locked {content['pretrained']}, now sha256:")
    assert drifts[1].startswith(f"drift: content.weights: locked {content['weights']}, now sha256:")


@pytest.mark.parametrize("kind", ["marian", "bart"])
def test_show_counts_it_with_its_own_vocabulary(kind, checkpoint, read, write_spec, capsys):
    folder = checkpoint(kind)
    assert main(["show", str(write_spec(folder)), "--json"]) == 0
    (shown,) = json.loads(capsys.readouterr().out)
    found = read(folder)
    size = found.section.pretrained.vocab_size
    assert (shown["vocabulary"], shown["source_vocabulary"], shown["vocabulary_estimated"]) == (size, None, False)
    assert shown["parameters"]["total"] == count_parameters(found.model)
    spec = write_spec(folder, tokenizer={"use": "bpe", "vocab_size": 80})
    assert main(["show", str(spec), "--json"]) == 0
    (shown,) = json.loads(capsys.readouterr().out)
    assert (shown["vocabulary"], shown["vocabulary_estimated"]) == (80, True)


def test_show_counts_two_vocabularies_of_a_marian(checkpoint, write_spec, tmp_path, capsys):
    config = json.loads((checkpoint("marian") / "config.json").read_text())
    config |= {"share_encoder_decoder_embeddings": False, "decoder_vocab_size": 50, "vocab_size": 70}
    folder = tmp_path / "apart"
    shutil.copytree(checkpoint("marian"), folder)
    (folder / "config.json").write_text(json.dumps(config))
    assert main(["show", str(write_spec(folder)), "--json"]) == 0
    (shown,) = json.loads(capsys.readouterr().out)
    assert (shown["vocabulary"], shown["source_vocabulary"], shown["vocabulary_estimated"]) == (50, 70, False)
    assert shown["parameters"]["embedding"] == (50 + 70) * config["d_model"]


def test_another_vocabulary_begins_anew_on_the_pretrained_body(checkpoint, write_spec, tmp_path, capsys):
    spec = write_spec(checkpoint("bart"), tokenizer={"use": "bpe", "vocab_size": 80})
    assert main(["build", str(spec), "--out", str(tmp_path / "one"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)["graft"]
    assert {item["to"] for item in report["new"]} == {"encoder.embed_tokens.weight", "output_bias"}
    config = json.loads((tmp_path / "one" / "config.json").read_text())
    assert (config["vocab_size"], config["pad_token_id"], config["eos_token_id"]) == (80, 0, 1)
    generation = json.loads((tmp_path / "one" / "generation_config.json").read_text())
    assert "forced_eos_token_id" not in generation


@pytest.mark.slow
@pytest.mark.both
@pytest.mark.parametrize("kind", ["marian", "bart", "t5-gated"])
def test_it_trains_goes_on_and_is_scored(kind, checkpoint, write_spec, tmp_path, capsys):
    spec = str(write_spec(checkpoint(kind), {"normalization": "rms-norm"}, model={"max_positions": 128}))
    run = tmp_path / "run"
    assert main(["train", spec, "--out", str(run)]) == 0
    start = json.loads((run / "graft.json").read_text())
    trained = load_file(run / "model.safetensors")
    assert main(["build", spec, "--out", str(tmp_path / "built")]) == 0
    before = load_file(tmp_path / "built" / "model.safetensors")
    assert set(trained) == set(before) == {item["to"] for item in [*start["kept"], *start["new"]]}
    assert any(not trained[name].equal(before[name]) for name in trained)
    assert main(["train", spec, "--out", str(run), "--resume"]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(run), "--json"]) == 0
    scored = json.loads(capsys.readouterr().out)
    assert scored["examples"] == 5
    # What is scored is what transformers generates from the folder.
    model, tokenizers = AutoModelForSeq2SeqLM.from_pretrained(run).eval(), load_tokenizers(run)
    task = read_lock(run / "zoo.lock.yaml").spec.task.create().prepare(DataHome.default())
    sample = scored["samples"][0]
    example = next(item for item in task.examples("test") if item.id == sample["id"])
    encoded = tokenizers.source([example.source], return_tensors="pt")
    output = model.generate(encoded["input_ids"], max_new_tokens=8)
    assert tokenizers.target.batch_decode(output, skip_special_tokens=True) == [sample["output"]]


@pytest.mark.slow
@pytest.mark.both
def test_a_fresh_process_trains_it(checkpoint, write_spec, tmp_path):
    spec = write_spec(checkpoint("marian"), {"position": "alibi"})
    found = subprocess.run(
        [sys.executable, "-m", "zoo.cli.main", "train", str(spec), "--out", str(tmp_path / "run")],
        capture_output=True,
        text=True,
        timeout=180,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith("trained grafted for 2 steps")
    assert (tmp_path / "run" / "graft.json").is_file()
