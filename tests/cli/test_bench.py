from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from zoo.bench import Record, RecordStore, new_record_id
from zoo.bench.run import Runner
from zoo.cli.main import main
from zoo.spec import Spec, load_spec
from zoo.tasks import DataHome

SMOKE = Path(__file__).parents[2] / "benchmarks" / "specs" / "smoke.yaml"


def a_record(spec: Spec, key: str, **changes: str) -> Record:
    facts = {"status": "ok", "name": spec.name, **changes}
    return Record(
        id=new_record_id(),
        created="2026-11-23",
        cell=key,
        task=spec.task.create().name,
        seed=spec.seed,
        spec=spec.plain(),
        spec_hash="h",
        data_revision="r",
        distributions={},
        **facts,
    )


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RecordStore:
    """A store that holds both controls of the smoke spec's board."""
    torch.set_num_threads(1)
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    store = RecordStore(tmp_path / "records")
    spec = load_spec(SMOKE)
    cell = Runner(store, home=DataHome(tmp_path / "home"))._cell(spec)
    for job in ("copy", "untrained"):
        store.append(a_record(spec, cell.baseline_key(job), name=job, role="baseline"))
    return store


def record_seed(store: RecordStore, seed: int, **changes: str) -> Record:
    spec = load_spec(SMOKE, [f"seed={seed}"])
    key = Runner(store)._cell(spec).key
    record = a_record(spec, key, **changes)
    store.append(record)
    return record


def test_cells_on_record_are_shown_and_not_run(store: RecordStore, capsys: pytest.CaptureFixture[str]) -> None:
    records = [record_seed(store, seed) for seed in (1, 2)]
    arguments = ["bench", str(SMOKE), "--store", str(store.folder), "--seeds", "2", "--json"]
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert [(item["id"], item["cached"]) for item in json.loads(out)] == [(record.id, True) for record in records]
    assert err.splitlines() == [
        "[1/4] copy on generated-qaa-qab: ok (recorded before)",
        "[2/4] untrained on generated-qaa-qab: ok (recorded before)",
        "[3/4] smoke (seed 1): ok (recorded before)",
        "[4/4] smoke (seed 2): ok (recorded before)",
    ]
    assert len(store.read().records) == 4


def test_a_recorded_failure_gives_status_1_and_says_what_it_was(
    store: RecordStore, capsys: pytest.CaptureFixture[str]
) -> None:
    record_seed(store, 1, status="nan", error="the loss of step 3 is not finite")
    assert main(["bench", str(SMOKE), "--store", str(store.folder)]) == 1
    out, err = capsys.readouterr()
    assert "nan (recorded before)" in out
    assert "zoo: smoke (seed 1): nan: the loss of step 3 is not finite" in err


def test_a_wrong_spec_gives_status_2_before_anything_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(f"extends: {SMOKE}\nmodel: {{position: rotari}}\n")
    assert main(["bench", str(SMOKE), str(wrong), "--store", str(tmp_path / "records")]) == 2
    assert "did you mean 'rotary'" in capsys.readouterr().err
    assert not (tmp_path / "records").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="here paged moments can be had")
@pytest.mark.parametrize("verb", ["bench", "train"])
def test_an_optimizer_that_cannot_run_here_is_refused_with_the_nearest_before_data_is_prepared(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    place = {"bench": ["--store", str(tmp_path / "records")], "train": ["--out", str(tmp_path / "out")]}[verb]
    optimizer = "training.optimizer={use: paged-adamw-8bit, lr: 1e-3}"
    assert main([verb, str(SMOKE), "--set", optimizer, *place]) == 1
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("zoo: ")]
    assert len(told) == 1, "what keeps the cell from being run keeps the controls from it too"
    assert "paged-adamw-8bit pages its moments out of a CUDA device" in told[0]
    assert told[0].endswith("take adamw-8bit")
    assert not any((tmp_path / name).exists() for name in ("home", "records", "out"))


def test_a_cell_that_cannot_be_run_does_not_keep_the_others_from_theirs(
    store: RecordStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = record_seed(store, 1)
    absent = tmp_path / "absent.yaml"
    absent.write_text(
        f"extends: {SMOKE}\nname: absent\n"
        "task: {use: translation, corpus: {use: parallel-files, name: mine, languages: [aa, bb], "
        f"train: [{tmp_path}/no.aa, {tmp_path}/no.bb]}}, source: aa, target: bb}}\n"
    )
    status = main(["bench", str(absent), str(SMOKE), "--store", str(store.folder), "--json"])
    out, err = capsys.readouterr()
    assert status == 2
    assert [item["id"] for item in json.loads(out)] == [record.id]
    told = [line for line in err.splitlines() if line.startswith("zoo: ")]
    assert len(told) == 1, "what also keeps the controls from being run is said once"
    assert told[0].startswith("zoo: absent (seed 1): ")
    assert "no.aa" in told[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--executor", "lokal"], "--executor lokal: executor: unknown executor 'lokal': did you mean 'local'?"),
        (["--address", "a:1"], "--address a:1: executor: unknown key 'address'"),
        (["--executor", "ray", "--set-executor", "gpu=1"], "unknown key 'gpu': did you mean 'gpus'?"),
        (["--executor", "ray", "--set-executor", "gpus"], "expected OPTION=VALUE"),
        (["--set-executor", "=1"], "expected OPTION=VALUE"),
        (["--executor", "ray", "--set-executor", "gpus=many"], "'gpus': expected a number"),
        (["--executor", "ray", "--set-executor", "gpus=1.5"], "'gpus': expected a share of one GPU, or a whole number"),
        (["--timeout", "nan"], "'--timeout': nan is not a finite number"),
        (["--work", str(SMOKE)], f"--work {SMOKE}: expected a folder, found a file"),
    ],
)
def test_a_wrong_option_is_a_mistake_of_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["bench", str(SMOKE), "--store", str(tmp_path / "records"), *arguments]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "records").exists()
