"""A vocabulary for each side, from the spec to the folder of a run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from zoo.cli.main import main
from zoo.errors import InputError
from zoo.models import assemble
from zoo.models.tokenizers import Tokenizers
from zoo.spec import Spec, spec_hash
from zoo.tasks import DataHome
from zoo.tasks.contracts import Side
from zoo.testing.in_process import probes_in_this_process
from zoo.training import build, load_run, prepare
from zoo.training.building import assemble_for
from zoo.training.data.collate import Collator
from zoo.training.data.encoding import encode_pairs
from zoo.training.outcome import read_outcome, write_outcome
from zoo.training.preparation import Prepared, tokenizer_hash, tokenizer_key, tokenizers_hash

SEPARATE: dict[str, Any] = {
    "tokenizer": {"use": "unigram", "vocab_size": 100},
    "target_tokenizer": {"use": "bpe", "vocab_size": 120},
    "model.tie_embeddings": "decoder",
}


@pytest.fixture
def separate(make_spec: Callable[..., Spec]) -> Spec:
    return make_spec(**SEPARATE)


def test_each_side_learns_from_its_own_texts_alone(
    separate: Spec, make_spec: Callable[..., Spec], home: DataHome
) -> None:
    task = make_spec().task.create().prepare(home)
    prepared = prepare(separate, home)
    for side, chosen in (("source", separate.tokenizer), ("target", separate.target_tokenizer)):
        assert chosen is not None
        expected = chosen.create().train(task.tokenizer_texts(side))
        found = getattr(prepared.tokenizers, side)
        assert found.get_vocab() == expected.get_vocab()
    assert not prepared.tokenizers.shared


def test_names_of_tokenizers_change_with_side_and_special_tokens(make_spec: Callable[..., Spec]) -> None:
    chosen = make_spec().tokenizer
    sides: tuple[Side | None, ...] = (None, "source", "target")
    keys = {tokenizer_key(chosen, "r", side=s, special_tokens=t) for s in sides for t in ((), ("\n",), ("<a>", "\n"))}
    assert len(keys) == 9


def test_the_models_matrices_have_the_size_of_their_vocabulary(separate: Spec, home: DataHome) -> None:
    prepared = prepare(separate, home)
    model = assemble_for(separate, prepared)
    assert model.encoder.embed_tokens.num_embeddings == len(prepared.tokenizers.source) == 100
    assert model.decoder.embed_tokens.num_embeddings == len(prepared.tokenizers.target) == 120
    assert model.lm_head.out_features == model.config.vocab_size == 120


def test_the_hash_covers_both(separate: Spec, home: DataHome) -> None:
    found = prepare(separate, home).tokenizers
    hashes = {tokenizers_hash(Tokenizers(a, b)) for a in (found.source, found.target) for b in (found.target,)}
    hashes.add(tokenizers_hash(Tokenizers(found.target, found.source)))
    assert len(hashes) == 3
    assert tokenizers_hash(Tokenizers(found.source, found.source)) == tokenizer_hash(found.source)


def test_a_spec_that_shares_its_vocabulary_is_written_as_before(make_spec: Callable[..., Spec], separate: Spec) -> None:
    assert "target_tokenizer" not in make_spec().plain()
    assert spec_hash(make_spec()) != spec_hash(separate)
    assert separate.plain()["target_tokenizer"]["use"] == "zoo-tasks-text/bpe"


def test_a_folder_holds_both_and_loads_without_zoo(separate: Spec, home: DataHome, tmp_path: Path) -> None:
    built = build(separate, tmp_path / "out", home)
    text = built.prepared.task.examples("test")[0].target
    for folder, expected in (
        (".", built.tokenizers.source),
        ("target_tokenizer", built.tokenizers.target),
    ):
        loaded = AutoTokenizer.from_pretrained(tmp_path / "out" / folder)
        assert loaded(text)["input_ids"] == expected(text)["input_ids"]
    run = load_run(tmp_path / "out")
    assert tokenizers_hash(run.tokenizers) == tokenizers_hash(built.tokenizers) == built.content()["tokenizer"]
    model = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "out")
    for name, tensor in built.model.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name])


def test_a_folder_without_its_target_tokenizer_is_refused(separate: Spec, home: DataHome, tmp_path: Path) -> None:
    build(separate, tmp_path / "out", home)
    shutil.rmtree(tmp_path / "out" / "target_tokenizer")
    with pytest.raises(InputError, match="a target_tokenizer, but there is none in target_tokenizer/"):
        load_run(tmp_path / "out")


@pytest.mark.parametrize("kind", ["bpe", "byte-level", "unigram"])
def test_two_equal_vocabularies_give_the_loss_of_a_shared_one(
    make_spec: Callable[..., Spec], home: DataHome, kind: str
) -> None:
    section = {"use": kind, "vocab_size": 300 if kind == "byte-level" else 120}
    shared = make_spec(tokenizer=section, **{"model.tie_embeddings": "decoder", "model.dropout": 0.0})
    separate = make_spec(
        tokenizer=section, target_tokenizer=section, **{"model.tie_embeddings": "decoder", "model.dropout": 0.0}
    )
    losses = []
    for spec in (shared, separate):
        task = _SameTexts(prepare(shared, home).task)
        trainer = spec.tokenizer.create()
        source = trainer.train(task.tokenizer_texts("source"))
        target = trainer.train(task.tokenizer_texts("target")) if spec is separate else source
        tokenizers = Tokenizers(source, target)
        prepared = Prepared(task, tokenizers)  # type: ignore[arg-type]
        model = assemble_for(spec, prepared).eval()
        pairs = encode_pairs(tokenizers, task.examples("dev"), 256)
        collate = Collator(pairs, pad_id=0, start_id=0)
        batch = collate(torch.arange(len(pairs)).numpy())
        losses.append(float(model(**batch.model_inputs(), labels=batch.labels).loss))
    assert losses[0] == losses[1]


class _SameTexts:
    """A task whose targets are its sources."""

    def __init__(self, task: Any) -> None:
        self._task = task

    def examples(self, split: Any) -> list[Any]:
        return [replace(example, target=example.source) for example in self._task.examples(split)]

    def tokenizer_texts(self, side: Side | None = None) -> Iterator[str]:
        for example in self.examples("train"):
            yield example.source


def test_sizes_are_checked(make_spec: Callable[..., Spec]) -> None:
    section = make_spec(**SEPARATE).model
    with pytest.raises(ValueError, match="source_vocabulary_size: expected at least 1, found 0"):
        assemble(section, 10, source_vocabulary_size=0, seed=1)
    with pytest.raises(InputError, match="'decoder' or 'none'"):
        assemble(make_spec().model, 10, source_vocabulary_size=10, seed=1)


@pytest.mark.slow
def test_a_run_is_trained_resumed_scored_and_measured(
    separate: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    plain = separate.plain()
    plain["training"] |= {"steps": 6, "save_every": 3, "evaluate_every": 3}
    plain["decoding"] |= {"max_new_tokens": 6, "batch_size": 1}
    plain["measurement"] |= {"processes": 1, "latency_samples": 2, "warmup": 1, "throughput_batches": [2]}
    spec = tmp_path / "spec.yaml"
    spec.write_text(yaml.safe_dump(plain))
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert main(["check", str(spec)]) == 0
    assert main(["train", str(spec), "--out", str(whole)]) == 0
    shutil.copytree(whole, cut)
    # As a run that was killed after its first checkpoint.
    first, last = sorted((cut / "checkpoints").glob("step-*"))
    shutil.rmtree(last)
    whole_outcome = read_outcome(cut)
    assert whole_outcome is not None
    write_outcome(replace(whole_outcome, status="running", steps=0, model_step=0), cut)
    (cut / "model.safetensors").write_bytes((first / "model.safetensors").read_bytes())
    assert main(["train", str(spec), "--out", str(cut), "--resume"]) == 0
    assert (whole / "model.safetensors").read_bytes() == (cut / "model.safetensors").read_bytes()
    capsys.readouterr()
    assert main(["evaluate", str(cut), "--max-examples", "4", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    run = load_run(cut)
    for sample in found["samples"]:
        encoded = run.tokenizers.source(sample["source"], return_tensors="pt")
        written = run.model.generate(**{k: encoded[k] for k in ("input_ids", "attention_mask")}, max_new_tokens=6)
        assert sample["output"] == run.tokenizers.target.decode(written[0], skip_special_tokens=True)
        assert int(written.max()) < len(run.tokenizers.target)
    with probes_in_this_process():
        assert main(["measure", str(cut), "--json"]) == 0
