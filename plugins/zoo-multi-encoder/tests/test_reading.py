"""A task's context as second input, from a spec to scores."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from zoo.cli.main import main
from zoo.errors import InputError
from zoo.measure.evaluate import evaluate, evaluation_examples
from zoo.measure.generation import generate_outputs
from zoo.measure.likelihoods import target_likelihoods
from zoo.measure.reading import source_of
from zoo.spec import resolve
from zoo.tasks import DataHome, Example
from zoo.testing.in_process import probes_in_this_process
from zoo.training import build, train

SPEC: dict[str, Any] = {
    "name": "second-input",
    "task": {
        "use": "doc2sent",
        "corpus": {
            "use": "generated",
            "pairs": 400,
            "dev_pairs": 20,
            "test_pairs": 24,
            "vocabulary": 24,
            "max_clauses": 1,
            "document_sentences": 4,
            "pronouns": 0.7,
        },
        "source": "qaa",
        "target": "qab",
        "context_as": "second-input",
    },
    "tokenizer": {"use": "unigram", "vocab_size": 110},
    "model": {
        "d_model": 16,
        "heads": 2,
        "encoder": {"layers": 1},
        "decoder": {"layers": 1},
        "position": "sinusoidal",
        "block": "pre-norm",
        "normalization": "layer-norm",
        "feedforward": {"use": "mlp", "width": 32, "activation": "relu"},
        "fusion": "top",
        "context_encoder": "inside",
        "dropout": 0.0,
    },
    "training": {
        "steps": 4,
        "batch_tokens": 500,
        "objective": "cross-entropy",
        "optimizer": {"use": "adamw", "lr": 1e-3},
        "schedule": "constant",
        "clipping": "none",
        "evaluate_every": 2,
    },
    "decoding": {"strategy": "greedy", "max_new_tokens": 8, "batch_size": 5},
    "evaluation": {"metrics": ["bleu", "contrastive"]},
    "measurement": {"processes": 1, "latency_samples": 3, "warmup": 1, "throughput_batches": [2]},
}


def changed(section: str, **changes: Any) -> dict[str, Any]:
    return SPEC | {section: SPEC[section] | changes}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> DataHome:
    return DataHome(tmp_path_factory.mktemp("home"))


def test_evaluation_gives_the_model_each_examples_context(home: DataHome, tmp_path: Path) -> None:
    # Embeddings tied to the output make an untrained model repeat its start token.
    chosen = resolve(changed("model", tie_embeddings="none", embedding_std=1.0))
    built = build(chosen, tmp_path / "run", home)
    model, tokenizers = built.model.eval(), built.tokenizers
    given = evaluation_examples(built.prepared.task, chosen)
    assert {bool(example.context) for example in given} == {False, True}
    model.decoder.context_encoder.combine[0].linear.bias.data.fill_(-3.0)  # the context has the say
    sources = [source_of(example) for example in given]
    outputs = generate_outputs(model, tokenizers, sources, chosen.decoding, max_source_tokens=100).outputs
    bare = generate_outputs(
        model, tokenizers, [e.source for e in given], chosen.decoding, max_source_tokens=100
    ).outputs
    assert outputs != bare
    for example, output in zip(given, outputs, strict=True):
        inputs = tokenizers.source(example.source, return_tensors="pt")
        context = tokenizers.source(example.context or "", return_tensors="pt")
        tokens = model.generate(
            **{name: inputs[name] for name in ("input_ids", "attention_mask")},
            context_input_ids=context["input_ids"],
            max_new_tokens=8,
            do_sample=False,
        )
        assert tokenizers.target.decode(tokens[0], skip_special_tokens=True) == output
    found = evaluate(model, tokenizers, given, chosen)
    assert [found.outputs[0], found.samples[0].context] == [outputs[0], given[0].context]


def test_likelihoods_are_those_given_source_and_context(home: DataHome, tmp_path: Path) -> None:
    built = build(resolve(SPEC), tmp_path / "run", home)
    model, tokenizer = built.model.eval(), built.tokenizers.source
    given = [example for example in built.prepared.task.examples("test") if example.context][:4]
    contrasted = [Example(e.id, e.source, e.target, context=e.context, contrasts=(e.target + " ban",)) for e in given]
    found = target_likelihoods(model, built.tokenizers, contrasted, batch_size=3, max_tokens=100)
    for example, scores in zip(contrasted, found, strict=True):
        for text, score in zip((example.target, *example.contrasts), scores, strict=True):
            labels = tokenizer(text, return_tensors="pt")["input_ids"]
            logits = model(
                tokenizer(example.source, return_tensors="pt")["input_ids"],
                context_input_ids=tokenizer(example.context, return_tensors="pt")["input_ids"],
                decoder_input_ids=model.prepare_decoder_input_ids_from_labels(labels),
            ).logits
            assert score == pytest.approx(-F.cross_entropy(logits[0], labels[0], reduction="sum").item(), rel=1e-4)


def test_a_task_without_a_second_input_is_refused_before_training(home: DataHome, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has a context encoder, but the task gives no second input"):
        train(resolve(changed("task", context_as="prefix")), tmp_path / "run", home=home)
    assert not (tmp_path / "run").exists()


def test_packing_is_refused_by_the_check_of_the_spec() -> None:
    with pytest.raises(InputError, match="rows of examples with a context cannot be packed"):
        resolve(changed("training", packing=True))


def test_a_model_with_one_encoder_is_not_evaluated_as_if_it_had_read_the_context(
    home: DataHome, tmp_path: Path
) -> None:
    chosen = resolve(changed("model", context_encoder=None))
    built = build(chosen, tmp_path / "run", home)
    with pytest.raises(InputError, match="the model has no context encoder"):
        evaluate(built.model, built.tokenizers, evaluation_examples(built.prepared.task, chosen), chosen)


@pytest.mark.slow
def test_the_command_line_trains_evaluates_and_measures_it(
    home: DataHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ZOO_HOME", str(home.root))

    def zoo(*arguments: str) -> str:
        capsys.readouterr()
        status = main([*arguments])
        said = capsys.readouterr()
        assert status == 0, said.err
        return said.out

    file, out = tmp_path / "spec.yaml", tmp_path / "run"
    file.write_text(json.dumps(SPEC), encoding="utf-8")
    zoo("train", str(file), "--out", str(out))
    found = json.loads(zoo("evaluate", str(out), "--json"))
    assert {sample["context"] == "" for sample in found["samples"]} == {False, True}
    with probes_in_this_process():
        measured = json.loads(zoo("measure", str(out), "--json"))
    assert measured["models"][0]["performance"]["latency"]["median"] > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "control"), [("outside", "true"), ("inside", "true"), ("gated", "true"), ("outside", "shuffled")]
)
def test_what_only_the_context_says_is_learned_and_with_anothers_context_is_not(
    make_model: Callable[..., Any], name: str, control: str
) -> None:
    """The target is the context, the source says nothing: the loss falls to zero, or stays at chance."""
    model = make_model(name, context=control, changes={"d_model": 32}).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    draw = torch.Generator().manual_seed(0)
    for _ in range(250):
        context = torch.randint(4, 14, (16, 2), generator=draw)
        source = torch.randint(20, 53, (16, 3), generator=draw)
        loss = model(source, context_input_ids=context, labels=context).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    chance = math.log(10)
    assert loss.item() < 0.3 if control == "true" else loss.item() > chance - 0.3
