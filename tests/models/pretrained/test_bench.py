"""Cells of `zoo bench` whose specs begin with a pretrained model: run as their processes run them, in this one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from zoo.bench import cell_process
from zoo.bench.cell import BASELINES, Job, key_of_record
from zoo.bench.executor import cell_jobs
from zoo.bench.outcome import Outcome
from zoo.bench.run import Runner
from zoo.bench.smoke import smoke
from zoo.bench.store import RecordStore
from zoo.bench.work import Request, WorkFolder
from zoo.spec import Spec, load_spec
from zoo.tasks import DataHome
from zoo.tasks.contracts import silent

UNTIMED = {"processes": 0}
FINISHED = {"ok", "collapsed"}
"""Random weights say little."""


@pytest.fixture
def run_cell(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Outcome, WorkFolder]]:
    """``run_cell(spec, job)``: the outcome, and the folder that it was worked out in."""
    monkeypatch.setattr(cell_process, "end_with_parent", lambda: None)
    monkeypatch.setattr(cell_process, "environment", lambda *_, **__: {})

    def run(spec: Spec, job: Job = "model") -> tuple[Outcome, WorkFolder]:
        work = WorkFolder(tmp_path / job)
        work.path.mkdir()
        home, store = tmp_path_factory.getbasetemp() / "zoo-home", tmp_path / "store"
        request = Request(job=job, spec=spec.plain(), home=str(home), store=str(store), threads=1, processes=1)
        work.write_request(request)
        cell_process.main(work, silent)
        outcome = work.read_outcome()
        assert outcome is not None
        return outcome, work

    return run


def test_a_cell_of_no_steps_scores_what_transformers_generates(checkpoint: Any, write_spec: Any, run_cell: Any) -> None:
    folder = checkpoint("marian")
    spec = load_spec(write_spec(folder, measurement=UNTIMED), ["training.steps=0"])
    outcome, work = run_cell(spec)
    assert outcome.status in FINISHED, outcome.error
    model, tokenizer = AutoModelForSeq2SeqLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    for sample in outcome.samples:
        source = tokenizer(sample.source, return_tensors="pt", truncation=True)
        output = model.generate(**source, max_new_tokens=8, do_sample=False)
        assert tokenizer.decode(output[0], skip_special_tokens=True) == sample.output
    assert len(outcome.samples) == 5
    sines = sum(tensor.numel() for name, tensor in model.named_parameters() if "embed_positions" in name)
    assert outcome.parameters == model.num_parameters() - sines
    assert json.loads((work.run / "graft.json").read_text())["new"] == []
    control, _ = run_cell(spec, "untrained")
    assert [sample.output for sample in control.samples] == [sample.output for sample in outcome.samples]


def test_a_cell_with_a_graft_is_trained_and_scored(checkpoint: Any, write_spec: Any, run_cell: Any) -> None:
    graft = {"position": "rotary", "normalization": "rms-norm"}
    spec = load_spec(write_spec(checkpoint("marian"), graft, measurement=UNTIMED))
    outcome, work = run_cell(spec)
    assert outcome.status in FINISHED, outcome.error
    assert outcome.steps == 2
    assert [score.metric for score in outcome.quality] == ["bleu"]
    report = json.loads((work.run / "graft.json").read_text())
    assert {item["because"] for item in report["new"]} == {"normalization: rms-norm instead of layer-norm"}
    bias_on_logits = spec.model.pretrained.vocab_size  # of the report, and no parameter
    assert outcome.parameters == sum(report["parameters"].values()) - bias_on_logits


@pytest.mark.parametrize("kind", ["marian", "t5"])
def test_without_the_flag_it_is_a_smoke_test(kind: str, checkpoint: Any, write_spec: Any) -> None:
    smoke(load_spec(write_spec(checkpoint(kind), {"position": "rotary"})))


@pytest.mark.parametrize(("job", "spoil"), [("model", "change"), ("untrained", "remove")])
def test_a_checkpoint_that_has_changed_meanwhile_is_no_result(
    job: Job, spoil: str, checkpoint: Any, write_spec: Any, run_cell: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(checkpoint("bart"), folder)
    spec = load_spec(write_spec(folder, measurement=UNTIMED))
    if spoil == "remove":
        shutil.rmtree(folder)
    else:
        weights = load_file(folder / "model.safetensors")
        save_file({name: tensor + 1 for name, tensor in weights.items()}, folder / "model.safetensors")
    outcome, work = run_cell(spec, job)
    assert outcome.status == "infra"
    assert str(folder) in str(outcome.error)
    assert not work.run.exists()


def test_grafts_share_the_control_that_copies_and_have_untrained_ones_by_their_names(
    checkpoint: Any, write_spec: Any, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = DataHome(tmp_path_factory.getbasetemp() / "zoo-home")
    runner = Runner(RecordStore(tmp_path / "records"), home=home, work=tmp_path / "work")
    grafts = {"opus": None, "grafted": {"position": "rotary"}}
    specs = [load_spec(write_spec(checkpoint("marian"), graft), [f"name={name}"]) for name, graft in grafts.items()]
    found = []
    for spec in specs:
        for job in BASELINES:
            # What a process would have found, so that none is started.
            folder = WorkFolder(tmp_path / "work" / runner._cell(spec).baseline_key(job)[:24])
            folder.path.mkdir(parents=True, exist_ok=True)
            folder.write_outcome(Outcome(status="ok"))
            found.append(runner.run_job(spec, job))
    assert [item.record.name for item in found] == ["copy", "untrained+opus", "copy", "untrained+grafted"]
    assert [item.cached for item in found] == [False, False, True, False]
    assert all(key_of_record(item.record) == item.record.cell for item in found)
    assert len(cell_jobs(specs)) == 5
