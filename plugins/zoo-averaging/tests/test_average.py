"""`zoo average`: what it writes, and what it refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSeq2SeqLM, BertConfig, BertModel
from zoo_averaging import average as module
from zoo_averaging.average import average
from zoo_averaging.inputs import find_inputs, same_start

from zoo.cli.main import main
from zoo.errors import InputError
from zoo.models.pretrained.report import REPORT_NAME
from zoo.spec.lock import LOCK_NAME, read_lock
from zoo.training import load_run, prepare
from zoo.training.data.development import development_batches
from zoo.training.losses.loss import dev_loss
from zoo.training.outcome import read_outcome

Trained = Callable[..., Path]
Weights = dict[str, torch.Tensor]


def weights(folder: Path) -> Weights:
    return load_file(folder / "model.safetensors")


def checkpoints(run: Path) -> list[Path]:
    return sorted((run / "checkpoints").glob("step-*"))


def loss_of(folder: Path, home: Any) -> float:
    run = load_run(folder)
    batches = development_batches(run.spec, prepare(run.spec, home), run.model, home)
    return dev_loss(run.model, iter(batches()), run.model.device, torch.float32)


# What is written


def test_the_average_of_a_model_with_itself_is_that_model_bit_for_bit(trained: Trained, tmp_path: Path) -> None:
    run = trained()
    average([run, run, run], tmp_path / "out", weights=[1, 2, 5])
    found = weights(tmp_path / "out")
    assert found.keys() == weights(run).keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in weights(run).items())


def test_the_last_checkpoints_of_a_run_make_the_model_of_the_mean_of_their_weights(
    trained: Trained, tmp_path: Path
) -> None:
    """Logits, too: of the folder read by transformers, and of a model whose parameters are averaged by hand."""
    run = trained()
    report = average([run], tmp_path / "out", last=3)
    assert [one.step for one in report.inputs] == [6, 9, 12]
    versions = [weights(folder) for folder in checkpoints(run)[-3:]]
    expected = {name: sum(version[name].double() for version in versions) / 3 for name in versions[0]}
    for name, tensor in weights(tmp_path / "out").items():
        torch.testing.assert_close(tensor, expected[name].float(), rtol=1e-7, atol=1e-8)
    by_hand, loaded = load_run(run).model.eval(), AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "out").eval()
    with torch.no_grad():
        for name, parameter in by_hand.named_parameters():
            parameter.copy_(expected[name])
        ids = torch.tensor([[5, 6, 7, 1]])
        inputs = {"input_ids": ids, "decoder_input_ids": torch.tensor([[0, 8, 9]])}
        torch.testing.assert_close(loaded(**inputs).logits, by_hand(**inputs).logits, rtol=1e-6, atol=1e-6)
    assert loaded.get_input_embeddings().weight is loaded.get_output_embeddings().weight


def test_the_order_of_the_models_does_not_matter(trained: Trained, tmp_path: Path) -> None:
    folders = checkpoints(trained())
    average(folders, tmp_path / "one")
    average(folders[::-1], tmp_path / "other")
    for name, tensor in weights(tmp_path / "one").items():
        torch.testing.assert_close(tensor, weights(tmp_path / "other")[name], rtol=1e-7, atol=1e-7)


def test_the_folder_says_what_went_in_and_is_evaluated_like_a_run(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = trained(), tmp_path / "out"
    one, other = checkpoints(run)[-2:]
    assert main(["average", str(one), str(other), "--out", str(out), "--weights", "3,1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads((out / "average.json").read_text())
    assert (told["format"], told["method"], told["same_start"]) == ("zoo.average/1", "uniform", True)
    assert [entry["share"] for entry in told["inputs"]] == [0.75, 0.25]
    assert [entry["path"] for entry in told["inputs"]] == [str(one), str(other)]
    outcome = read_outcome(out)
    assert outcome is not None
    assert (outcome.status, outcome.model_step) == ("ok", 12)
    assert main(["evaluate", str(out)]) == 0
    shown = capsys.readouterr()
    assert "bleu" in shown.out
    assert shown.err == ""
    kept = {path.name for path in out.iterdir()}
    assert {"state.json", "complete.json", "logs", "checkpoints", REPORT_NAME}.isdisjoint(kept)


def test_a_greedy_soup_is_no_worse_than_the_best_model_and_leaves_out_what_harms(
    trained: Trained, home: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = trained(), tmp_path / "out"
    broken = tmp_path / "broken"
    shutil.copytree(run, broken)
    noise = torch.Generator().manual_seed(0)
    save_file(
        {name: tensor + torch.randn(tensor.shape, generator=noise) for name, tensor in weights(run).items()},
        broken / "model.safetensors",
        metadata={"format": "pt"},
    )
    folders = [str(broken), *(str(folder) for folder in checkpoints(run)[-2:])]
    assert main(["average", *folders, "--method", "greedy", "--out", str(out)]) == 0
    told = json.loads((out / "average.json").read_text())
    shown = capsys.readouterr()
    assert "left out" in shown.out
    assert shown.err == ""
    inputs = {entry["path"]: entry for entry in told["inputs"]}
    assert told["by"] == "loss"
    assert inputs[str(broken)]["share"] == 0
    own = [entry["score"] for entry in told["inputs"]]
    assert own == sorted(own)
    assert told["score"] <= min(own)
    assert told["score"] == pytest.approx(loss_of(out, home), rel=1e-6)
    assert inputs[str(broken)]["score"] == pytest.approx(loss_of(broken, home), rel=1e-6)


@pytest.mark.slow
def test_fine_tunes_of_one_model_make_a_soup_with_it_or_without(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = trained()
    plain = read_lock(start / LOCK_NAME).spec.plain()
    spec = tmp_path / "tune.yaml"
    spec.write_text(yaml.safe_dump({**plain, "tokenizer": "pretrained", "model": {"from": str(start)}}))
    tuned = [tmp_path / f"tune-{seed}" for seed in (1, 2)]
    for seed, out in enumerate(tuned, start=1):
        assert main(["train", str(spec), "--set", f"seed={seed}", "--out", str(out)]) == 0
    for place, models in (("soup", tuned), ("half-way", [start, tuned[0]])):
        capsys.readouterr()
        assert main(["average", *map(str, models), "--out", str(tmp_path / place), "--method", "greedy"]) == 0
        assert "did not begin" not in capsys.readouterr().err
        assert same_start(find_inputs(models))
        assert main(["evaluate", str(tmp_path / place)]) == 0
    unlike = trained(seed=4)
    assert same_start(find_inputs([unlike, tuned[0]])) is False


def test_a_metric_of_the_spec_scores_the_models_and_their_average(trained: Trained, tmp_path: Path) -> None:
    report = average([trained()], tmp_path / "out", last=2, by="chrf")
    assert report.by == "chrf"
    assert report.score is not None
    assert all(entry.score is not None and 0 <= entry.score <= 100 for entry in report.inputs)


@pytest.fixture
def plain(tmp_path: Path) -> Callable[..., Path]:
    """``plain("a", weights)``: a folder of weights and a configuration, of no run."""

    def write(name: str, tensors: Weights, config: Any = None) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(config or {"model_type": "some", "width": 2}))
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return folder

    return write


def test_any_model_of_transformers_is_averaged_from_shards_too(tmp_path: Path) -> None:
    config = BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, vocab_size=50)
    models = [BertModel(config) for _ in range(2)]
    models[0].save_pretrained(tmp_path / "whole")
    models[1].save_pretrained(tmp_path / "sharded", max_shard_size="2KB")
    assert not (tmp_path / "sharded" / "model.safetensors").exists()
    report = average([tmp_path / "sharded", tmp_path / "whole"], tmp_path / "out")
    assert report.same_start is None
    found = BertModel.from_pretrained(tmp_path / "out")
    for name, tensor in found.named_parameters():
        one, other = (dict(model.named_parameters())[name] for model in models)
        torch.testing.assert_close(tensor, (one + other) / 2, rtol=1e-6, atol=1e-7)


def test_narrow_weights_are_averaged_wide_and_counters_are_the_first_models(
    plain: Callable[..., Path], tmp_path: Path
) -> None:
    values = [1.0, 1.0078125, 1.015625]  # neighbours in bfloat16
    folders = [
        plain(str(place), {"w": torch.tensor([value], dtype=torch.bfloat16), "seen": torch.tensor(place)})
        for place, value in enumerate(values)
    ]
    average(folders, tmp_path / "out")
    found = weights(tmp_path / "out")
    assert (found["w"].dtype, found["w"].item(), found["seen"].item()) == (torch.bfloat16, 1.0078125, 0)
    wide = plain("wide", {"w": torch.tensor([2.0]), "seen": torch.tensor(9)})
    average([folders[0], wide], tmp_path / "mixed")
    assert weights(tmp_path / "mixed")["w"].dtype is torch.float32


# What is refused


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(["average", *map(str, arguments)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    return lines[0]


def test_models_that_do_not_go_together_are_refused_in_one_line(
    plain: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    first = plain("first", {"w": torch.zeros(2), "b": torch.zeros(1)})
    cases = {
        "lacks the tensor b, which": plain("fewer", {"w": torch.zeros(2)}),
        "lacks the tensor c, which": plain("more", {"w": torch.zeros(2), "b": torch.zeros(1), "c": torch.zeros(1)}),
        "the tensor w has the shape [3], in": plain("longer", {"w": torch.zeros(3), "b": torch.zeros(1)}),
        "(width: 3, there 2)": plain("wide", {"w": torch.zeros(2), "b": torch.zeros(1)}, {"width": 3}),
        "the tensor w holds numbers that are not finite": plain(
            "nan", {"w": torch.tensor([0.0, float("nan")]), "b": torch.zeros(1)}
        ),
        "no such folder": tmp_path / "absent",
    }
    for message, folder in cases.items():
        assert message in refused(capsys, first, folder, "--out", out)
    assert "two models or more, found 1" in refused(capsys, first, "--out", out)
    assert "expected 2 numbers" in refused(capsys, first, first, "--out", out, "--weights", "1,2,3")
    assert "above 0" in refused(capsys, first, first, "--out", out, "--weights=1,-2")
    assert "commas" in refused(capsys, first, first, "--out", out, "--weights", "a")
    assert "no zoo.lock.yaml" in refused(capsys, first, first, "--out", out, "--method", "greedy")
    assert "holds 0 complete checkpoints" in refused(capsys, first, "--out", out, "--last", "2")
    assert "the checkpoints of one run" in refused(capsys, first, first, "--out", out, "--last", "2")
    assert "is not empty" in refused(capsys, first, first, "--out", first)
    assert not out.exists()
    assert not list(tmp_path.glob(".tmp-*"))


def test_weights_that_are_pickles_or_damaged_or_elsewhere_are_refused(
    plain: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, pickled, damaged, elsewhere = (plain(str(index), {"w": torch.zeros(2)}) for index in range(4))
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    assert "found the pickle pytorch_model.bin" in refused(capsys, first, pickled, "--out", tmp_path / "out")
    whole = (damaged / "model.safetensors").read_bytes()
    (damaged / "model.safetensors").write_bytes(whole[:-4])
    assert "cannot be read" in refused(capsys, first, damaged, "--out", tmp_path / "out")
    (elsewhere / "model.safetensors").unlink()
    index = {"weight_map": {"w": "../0/model.safetensors"}}
    (elsewhere / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "no file beside it" in refused(capsys, first, elsewhere, "--out", tmp_path / "out")


def test_runs_of_another_architecture_tokenizer_or_start_are_told(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = trained(), tmp_path / "out"
    wider = trained(model__d_model=32, training__steps=1)
    assert "is another architecture than" in refused(capsys, run, wider, "--out", out)
    other = trained(tokenizer={"use": "bpe", "vocab_size": 120}, training__steps=1)
    copied = tmp_path / "copied"
    shutil.copytree(run, copied)
    shutil.copyfile(other / "zoo.lock.yaml", copied / "zoo.lock.yaml")
    assert "has another tokenizer than" in refused(capsys, run, copied, "--out", out)
    assert "no metric of the spec" in refused(capsys, run, run, "--out", out, "--by", "bluh")
    assert not out.exists()
    elsewhere = trained(seed=4, training__steps=1)
    assert main(["average", str(run), str(elsewhere), "--out", str(out)]) == 0
    assert "did not begin with the same weights" in capsys.readouterr().err
    hotter = trained(training__optimizer={"use": "adamw", "lr": 6e-3})
    assert same_start(find_inputs([run, hotter])) is True


def test_a_run_that_has_no_trained_weights_yet_is_refused(trained: Trained, tmp_path: Path) -> None:
    run = trained()
    begun = tmp_path / "begun"
    shutil.copytree(run, begun)
    told = json.loads((begun / "training.json").read_text())
    (begun / "training.json").write_text(json.dumps({**told, "status": "running", "model_step": 0}))
    with pytest.raises(InputError, match=r"initial weights \(status running\)"):
        average([run, begun], tmp_path / "out")


def test_a_death_while_writing_leaves_nothing_that_looks_like_a_model(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any, **named: Any) -> None:
        raise OSError(28, "No space left on device")

    run = trained()
    monkeypatch.setattr(module, "save_file", full)
    with pytest.raises(OSError, match="No space left"):
        average([run, run], tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
