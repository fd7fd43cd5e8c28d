"""Document tasks, tags and contrasts in a model: from a spec to scores."""

from __future__ import annotations

from pathlib import Path

import pytest

from zoo.errors import InputError
from zoo.measure.evaluate import evaluate, evaluation_examples, score_outputs
from zoo.measure.likelihoods import target_likelihoods
from zoo.spec import resolve
from zoo.tasks import DataHome, Example
from zoo.training import build, train

CORPUS = {
    "use": "generated",
    "pairs": 400,
    "dev_pairs": 20,
    "test_pairs": 40,
    "vocabulary": 24,
    "max_clauses": 1,
    "document_sentences": 4,
    "pronouns": 0.7,
    "registers": "domain",
}
SPEC = {
    "name": "documents",
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
        "dropout": 0.0,
    },
    "training": {
        "steps": 2,
        "batch_tokens": 500,
        "objective": "cross-entropy",
        "optimizer": {"use": "adamw", "lr": 1e-3},
        "schedule": "constant",
        "clipping": "none",
    },
    "decoding": {"strategy": "greedy", "max_new_tokens": 8},
    "evaluation": {
        "metrics": ["bleu", "contrastive", "omitted", {"use": "phenomenon-accuracy", "phenomenon": "pronoun"}]
    },
}


def spec(**task):
    given = {"corpus": CORPUS, "source": "qaa", "target": "qab", **task}
    return resolve({**SPEC, "task": given})


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> DataHome:
    return DataHome(tmp_path_factory.mktemp("home"))


def test_lines_and_tags_are_one_token_each_and_come_back_from_decoding(home: DataHome, tmp_path: Path) -> None:
    built = build(spec(use="doc2doc", tag="domain"), tmp_path / "run", home)
    tokenizer = built.tokenizers.source
    for example in built.prepared.task.examples("test"):
        ids = tokenizer(example.source)["input_ids"]
        assert sum(token == tokenizer.convert_tokens_to_ids("\n") for token in ids) == example.source.count("\n")
        tags = [token for token in ids if tokenizer.convert_ids_to_tokens(token) in built.prepared.task.special_tokens]
        assert len(tags) == 1 + example.source.count("\n")
        target = tokenizer(example.target)["input_ids"]
        assert tokenizer.decode(target, skip_special_tokens=True) == example.target


@pytest.mark.parametrize("task", [{"use": "doc2sent", "context_sentences": 2, "tag": "domain"}, {"use": "doc2doc"}])
def test_a_model_is_scored_by_outputs_checks_and_likelihoods(home: DataHome, tmp_path: Path, task: dict) -> None:
    chosen = spec(**task)
    built = build(chosen, tmp_path / "run", home)
    examples = evaluation_examples(built.prepared.task, chosen)
    found = evaluate(built.model, built.tokenizers, examples, chosen)
    assert [score.metric for score in found.quality] == [
        "bleu",
        "contrastive-accuracy",
        "omitted-sentences",
        "pronoun-accuracy",
    ]
    references = [example.target for example in examples]
    without_a_model = score_outputs(references, examples, chosen)
    assert [score.metric for score in without_a_model.quality] == ["bleu", "omitted-sentences", "pronoun-accuracy"]
    assert [round(score.value, 6) for score in without_a_model.quality] == [100.0, 0.0, 1.0]


def test_a_likelihood_is_that_of_the_models_own_loss(home: DataHome, tmp_path: Path) -> None:
    built = build(spec(use="translation"), tmp_path / "run", home)
    tokenizer = built.tokenizers.source
    given = list(built.prepared.task.examples("test")[:5])
    examples = [
        Example(e.id, e.source, e.target, contrasts=tuple(e.target + " ban" * count for count in range(1, index + 1)))
        for index, e in enumerate(given)
    ]
    model = built.model.eval()
    found = target_likelihoods(model, built.tokenizers, examples, batch_size=4, max_tokens=100)
    assert [len(scores) for scores in found] == [1, 2, 3, 4, 5]
    assert found[0].tolist() == [0.0], "nothing to compare"
    for example, scores in list(zip(examples, found, strict=True))[1:]:
        for text, score in zip((example.target, *example.contrasts), scores, strict=True):
            inputs = tokenizer(example.source, return_tensors="pt")
            labels = tokenizer(text, return_tensors="pt")["input_ids"]
            loss = model(**inputs, labels=labels).loss.item() * labels.shape[1]
            assert score == pytest.approx(-loss, rel=1e-4)


def test_context_that_does_not_fit_gives_way_in_evaluation_too(home: DataHome, tmp_path: Path) -> None:
    """The sentence to translate is read whole, as it is with as much context as fits."""
    chosen = spec(use="doc2sent", context_sentences=3, tag="domain")
    built = build(chosen, tmp_path / "run", home)
    given = [
        example
        for example in evaluation_examples(built.prepared.task, chosen)
        if example.context_lines == 3 and any(check.phenomenon == "pronoun" for check in example.checks)
    ][:2]
    assert given
    expected = [example.with_less_context(2) for example in given]
    for example, shorter in zip(given, expected, strict=True):
        assert shorter.source == " ".join([example.tag, "\n".join(example.source.split("\n")[2:])])
        limit = len(built.tokenizers.source(shorter.source)["input_ids"])
        found, right = (
            target_likelihoods(built.model, built.tokenizers, [some], batch_size=4, max_tokens=limit)[0]
            for some in (example, shorter)
        )
        assert found == pytest.approx(right, rel=1e-6)
        model = chosen.model.model_copy(update={"max_positions": limit})
        bounded = chosen.model_copy(update={"model": model})
        outputs = [evaluate(built.model, built.tokenizers, [some], bounded) for some in (example, shorter)]
        assert outputs[0].outputs == outputs[1].outputs
        assert outputs[0].probes["truncated_sources"] == 0


def test_a_second_input_is_refused_before_training_by_a_model_with_one_encoder(home: DataHome, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="context_as: prefix"):
        train(spec(use="doc2sent", context_as="second-input"), tmp_path / "run", home=home)
    assert not (tmp_path / "run").exists()


def test_a_metric_without_anything_to_look_at_is_refused(home: DataHome, tmp_path: Path) -> None:
    bare = {name: value for name, value in CORPUS.items() if name not in {"pronouns", "registers"}}
    chosen = spec(use="translation", corpus=bare)
    built = build(chosen, tmp_path / "run", home)
    with pytest.raises(InputError, match="contrast"):
        evaluate(built.model, built.tokenizers, evaluation_examples(built.prepared.task, chosen), chosen)
