"""COMET against unbabel-comet's own scores, with a tiny random checkpoint that the test makes; nothing is fetched."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import os
import pickle
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from zoo_tasks_text.metrics.comet import Comet
from zoo_tasks_text.metrics.options import CometOptions

from zoo.errors import ZooError

INSTALLED = importlib.util.find_spec("comet") is not None
needs_comet = pytest.mark.skipif(not INSTALLED, reason="unbabel-comet is not installed")

SOURCES = ["eins zwei", "drei", "vier fünf sechs sieben", "eins", "zwei drei vier"]
OUTPUTS = ["one two", "", "four six seven", "two", "two three four"]
REFERENCES = ["one two", "three", "four five six seven", "one", "two three four"]
CLASSES = ["regression_metric", "referenceless_regression_metric", "unified_metric"]


def make_checkpoint(folder: Path, identifier: str) -> Path:
    """A COMET model with random weights over a tiny XLM-R, whose tokenizer and configuration lie in ``encoder``."""
    from comet.models import str2model
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import XLMRobertaConfig, XLMRobertaModel, XLMRobertaTokenizerFast

    special = ["<s>", "<pad>", "</s>", "<unk>"]
    letters = sorted({character for text in (*SOURCES, *OUTPUTS, *REFERENCES) for character in text} | {"▁"})
    pieces = [(piece, 0.0) for piece in special] + [(letter, -2.0 - i / 9) for i, letter in enumerate(letters)]
    backend = Tokenizer(models.Unigram([*pieces, ("<mask>", 0.0)], unk_id=3))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    encoder = folder / "encoder"
    XLMRobertaTokenizerFast(tokenizer_object=backend).save_pretrained(encoder)
    config = XLMRobertaConfig(
        vocab_size=len(pieces) + 1,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=130,
        pad_token_id=1,
    )
    with torch.random.fork_rng():
        torch.manual_seed(7)
        XLMRobertaModel(config, add_pooling_layer=False).save_pretrained(encoder)
        model = str2model[identifier](
            pretrained_model=str(encoder),
            load_pretrained_weights=False,
            local_files_only=True,
            hidden_sizes=[8],
            nr_frozen_epochs=0,
            layer_transformation="softmax",
        )
    (folder / "checkpoints").mkdir()
    hparams = dict(model.hparams)
    version = metadata.version("pytorch-lightning")  # comet's own loader asks for it
    content = {"state_dict": model.state_dict(), "hyper_parameters": hparams, "pytorch-lightning_version": version}
    torch.save(content, folder / "checkpoints" / "model.ckpt")
    (folder / "hparams.yaml").write_text(yaml.safe_dump({**hparams, "class_identifier": identifier}))
    return folder


@pytest.fixture(scope="module", params=CLASSES)
def checkpoint(request, tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def regression(tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp("tiny"), "regression_metric")


def comet(folder, **options):
    return Comet(CometOptions(model=str(folder), device="cpu", **options))


def comets_own(folder, *, samples=None):
    from comet import load_from_checkpoint

    model = load_from_checkpoint(str(folder / "checkpoints" / "model.ckpt"), local_files_only=True)
    triples = zip(SOURCES, OUTPUTS, REFERENCES, strict=True)
    samples = samples or [{"src": source, "mt": output, "ref": reference} for source, output, reference in triples]
    return model.predict(samples, batch_size=2, gpus=0, progress_bar=False)


def rewritten(folder, target, change):
    """A copy of the checkpoint in `folder` with its content changed."""
    (target / "checkpoints").mkdir(parents=True)
    content = torch.load(folder / "checkpoints" / "model.ckpt", weights_only=True)
    change(content)
    torch.save(content, target / "checkpoints" / "model.ckpt")
    (target / "hparams.yaml").write_bytes((folder / "hparams.yaml").read_bytes())
    return target


@needs_comet
def test_scores_are_those_of_comets_own_predict(checkpoint):
    metric = comet(checkpoint, batch_size=2)
    items = metric.items(OUTPUTS, REFERENCES, SOURCES)
    theirs = comets_own(checkpoint)
    assert len(set(theirs.scores)) == len(theirs.scores), "a model that scores everything alike shows nothing"
    assert metric.segments(items).tolist() == pytest.approx(theirs.scores, abs=1e-6)
    assert metric.score_items(items).value == pytest.approx(theirs.system_score, abs=1e-6)


@needs_comet
def test_a_referenceless_model_heeds_no_reference(tmp_path):
    metric = comet(make_checkpoint(tmp_path, "referenceless_regression_metric"))
    first, other = (metric.items(OUTPUTS, refs, SOURCES) for refs in (REFERENCES, ["x"] * len(REFERENCES)))
    assert np.array_equal(first, other)


@needs_comet
def test_the_batch_size_changes_no_score(regression):
    one, all_ = (comet(regression, batch_size=size).items(OUTPUTS, REFERENCES, SOURCES) for size in (1, 16))
    assert np.stack(one) == pytest.approx(np.stack(all_), abs=1e-6)


@needs_comet
def test_the_signature_names_version_model_and_the_content_of_the_checkpoint(regression, tmp_path):
    score = comet(regression).score(OUTPUTS, REFERENCES, SOURCES)
    digest = hashlib.sha256((regression / "checkpoints" / "model.ckpt").read_bytes()).hexdigest()
    parts = score.signature.split("|")
    assert {f"model:{regression.name}", f"checkpoint:sha256:{digest[:16]}", "bs:1000"} <= set(parts)
    assert f"version:{metadata.version('unbabel-comet')}" in parts
    assert str(regression.parent) not in score.signature
    assert (score.direction, score.unit) == ("higher", "score")

    def nudge(content):
        content["state_dict"]["estimator.ff.0.bias"] += 1e-3

    assert comet(rewritten(regression, tmp_path / regression.name, nudge)).signature != score.signature


@needs_comet
def test_the_checkpoint_file_itself_names_the_model_too(regression):
    by_file = comet(regression / "checkpoints" / "model.ckpt")
    assert by_file.signature == comet(regression).signature
    assert np.array_equal(
        by_file.items(OUTPUTS, REFERENCES, SOURCES), comet(regression).items(OUTPUTS, REFERENCES, SOURCES)
    )


@needs_comet
def test_an_encoder_beside_the_checkpoint_is_found_wherever_the_folder_is_moved(regression, tmp_path):
    def relative(content):
        content["hyper_parameters"]["pretrained_model"] = "encoder"

    moved = rewritten(regression, tmp_path / "moved", relative)
    (moved / "encoder").mkdir()
    for file in (regression / "encoder").iterdir():
        (moved / "encoder" / file.name).write_bytes(file.read_bytes())
    items = comet(moved).items(OUTPUTS, REFERENCES, SOURCES)
    assert np.array_equal(items, comet(regression).items(OUTPUTS, REFERENCES, SOURCES))


@needs_comet
def test_scoring_is_quiet_and_leaves_loggers_and_random_numbers_alone(regression, capfd, caplog):
    root = logging.getLogger()
    before = (list(root.handlers), root.level)
    state = torch.get_rng_state()
    comet(regression).score(OUTPUTS, REFERENCES, SOURCES)
    assert (list(root.handlers), root.level) == before
    assert torch.equal(torch.get_rng_state(), state)
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


class Bomb:
    """What a stranger could pickle beside weights."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return (Path.touch, (Path(self.trace),))


@needs_comet
def test_a_checkpoint_that_holds_more_than_weights_is_refused_and_runs_nothing(regression, tmp_path):
    trace = tmp_path / "executed"
    folder = rewritten(regression, tmp_path / "bad", lambda content: content.update(callbacks=Bomb(str(trace))))
    with pytest.raises(ZooError, match=r"model\.ckpt was refused: it holds Python objects beside weights \(GLOBAL "):
        comet(folder).items(OUTPUTS, REFERENCES, SOURCES)
    assert not trace.exists()
    pickle.loads(pickle.dumps(Bomb(str(trace))))
    assert trace.exists(), "the trace would have been left"


@needs_comet
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda content: content["state_dict"].pop("estimator.ff.0.weight"), "lacks 1 weights, such as estimator.ff"),
        (lambda content: content.pop("state_dict"), "holds no state_dict"),
        (lambda content: content["hyper_parameters"].update(hidden_sizes=[9]), "are another model's"),
        (lambda content: content["hyper_parameters"].update(encoder_model="XLM-Roberta"), "did you mean 'XLM-RoBERTa'"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_in_one_line(regression, tmp_path, change, said):
    folder = rewritten(regression, tmp_path / "bad", change)
    with pytest.raises(ZooError, match=said) as caught:
        comet(folder).items(OUTPUTS, REFERENCES, SOURCES)
    assert "\n" not in str(caught.value)


@needs_comet
@pytest.mark.parametrize(
    ("hparams", "said"),
    [
        ("class_identifier: regresion_metric", "did you mean 'regression_metric'"),
        ("- a list", "expected a mapping"),
        ("!!python/object/apply:os.getcwd []", "hparams.yaml"),
    ],
)
def test_hparams_that_cannot_be_used_are_refused(regression, tmp_path, hparams, said):
    folder = rewritten(regression, tmp_path / "bad", lambda content: None)
    (folder / "hparams.yaml").write_text(hparams)
    with pytest.raises(ZooError, match=said):
        comet(folder).items(OUTPUTS, REFERENCES, SOURCES)


@needs_comet
def test_a_file_that_is_no_checkpoint_is_refused(regression, tmp_path):
    folder = rewritten(regression, tmp_path / "bad", lambda content: None)
    whole = (folder / "checkpoints" / "model.ckpt").read_bytes()
    for data in (b"", b"version https://git-lfs.example/spec/v1", whole[: len(whole) // 2]):
        (folder / "checkpoints" / "model.ckpt").write_bytes(data)
        with pytest.raises(ZooError, match=r"model\.ckpt is no checkpoint of torch"):
            comet(folder).items(OUTPUTS, REFERENCES, SOURCES)


@needs_comet
def test_a_model_that_is_not_there_is_missed_before_anything_is_scored(tmp_path):
    with pytest.raises(ZooError, match="no folder or checkpoint"):
        comet(tmp_path / "absent").prepare()
    (tmp_path / "empty").mkdir()
    with pytest.raises(ZooError, match=r"hparams\.yaml is missing"):
        comet(tmp_path / "empty").prepare()


@needs_comet
@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_a_gpu_that_is_not_there_is_said(regression):
    metric = Comet(CometOptions(model=str(regression), device="cuda"))
    with pytest.raises(ZooError, match="there is no GPU"):
        metric.items(OUTPUTS, REFERENCES, SOURCES)


@pytest.mark.skipif(INSTALLED, reason="unbabel-comet is installed")
def test_without_the_package_one_line_says_how_to_get_it(tmp_path):
    metric = comet(tmp_path)
    for use in (metric.prepare, lambda: metric.score(OUTPUTS, REFERENCES, SOURCES)):
        with pytest.raises(ZooError, match=r"pip install 'zoo-registry\[comet\]'.*transformers < 5") as caught:
            use()
        assert "\n" not in str(caught.value)


def test_what_a_record_keeps_is_combined_without_package_or_checkpoint():
    metric = comet("/absent")
    items = [np.array([0.5, 1.0]), np.array([-1.0, 1.0])]
    assert metric.combined(items, np.array([[1.0, 1.0], [3.0, 1.0]])).tolist() == [-0.25, 0.125]
    assert metric.segments(items).tolist() == [0.5, -1.0]


@needs_comet
@pytest.mark.slow
@pytest.mark.both
@pytest.mark.timeout(600)
def test_a_cell_scores_with_the_checkpoint_that_its_spec_names(regression, tmp_path):
    import zoo.tasks
    from zoo.bench import RecordStore
    from zoo.bench.outputs import read_outputs
    from zoo.bench.run import Runner
    from zoo.spec import load_spec

    smoke = Path(__file__).parents[4] / "benchmarks" / "specs" / "smoke.yaml"
    metrics = f"evaluation.metrics=[bleu, {{use: comet, model: {regression}, device: cpu}}]"
    spec = load_spec(smoke, ["task.corpus.pairs=300", "evaluation.max_examples=6", "model.d_model=16", metrics])
    store = RecordStore(tmp_path / "records")
    runner = Runner(store, home=zoo.tasks.DataHome(tmp_path / "home"), work=tmp_path / "work")
    record = runner.run_baselines(spec)[0].record
    quality = record.quality[1]
    kept = read_outputs(store.folder, record).metrics[1]
    assert (quality.metric, kept.component["use"]) == ("comet", "zoo-tasks-text/comet")
    assert quality.value == pytest.approx(kept.scores.mean())
    assert quality.interval[0] <= quality.value <= quality.interval[1]


SCORE_FROM_THE_HUB = """
import json, sys
from zoo.errors import ZooError
from zoo_tasks_text.metrics.comet import Comet
from zoo_tasks_text.metrics.options import CometOptions

metric = Comet(CometOptions(model="somebody/tiny-comet", device="cpu"))
items = metric.items(*json.loads(sys.argv[1]))
print(json.dumps([metric.signature, [item.tolist() for item in items]]))
try:
    Comet(CometOptions(model="somebody/unknown")).prepare()
except ZooError as error:
    print(error)
"""


@needs_comet
@pytest.mark.slow
@pytest.mark.both
def test_a_hub_id_is_found_in_the_hubs_cache_without_network(regression, tmp_path):
    repository = tmp_path / "models--somebody--tiny-comet"
    snapshot = repository / "snapshots" / ("0" * 40)
    rewritten(regression, snapshot, lambda content: None)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    environment = {**os.environ, "HF_HUB_CACHE": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    texts = json.dumps([OUTPUTS, REFERENCES, SOURCES])
    done = subprocess.run(
        [sys.executable, "-c", SCORE_FROM_THE_HUB, texts], env=environment, capture_output=True, text=True, check=True
    )
    found, refusal = done.stdout.splitlines()
    signature, items = json.loads(found)
    assert "|model:somebody/tiny-comet|" in signature
    assert np.array(items) == pytest.approx(np.stack(comet(regression).items(OUTPUTS, REFERENCES, SOURCES)), abs=1e-6)
    assert "'somebody/unknown' is no folder here and could not be had as a hub id" in refusal
