"""Exported models on record: what makes a cell of one, which share a training, and what its record says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from zoo.bench import Record, RecordStore, cell_process
from zoo.bench.cell import Cell, controls_of, key_of_record, key_of_training, trained_spec
from zoo.bench.record import ExportPart, Performance
from zoo.bench.run import Runner
from zoo.bench.shared_training import SharedTraining
from zoo.bench.work import Request, WorkFolder
from zoo.errors import InputError
from zoo.export.contracts import UnfitError
from zoo.export.measuring import refuse_unexportable
from zoo.spec import Spec
from zoo.tasks import DataHome
from zoo.tasks.contracts import silent
from zoo.testing.in_process import cells_in_this_process
from zoo.training import CurvePoint, TrainingOutcome

SmallSpec = Callable[..., Spec]
MakeRecord = Callable[..., Record]


def _key(spec: Spec) -> str:
    return Cell(spec, "sha256:1", "cpu: x (1 threads)").key


def test_an_export_makes_another_cell_of_the_same_training(small_spec: SmallSpec) -> None:
    plain, exported, other = small_spec(), small_spec("export=onnx"), small_spec("export={use: onnx, opset: 20}")
    assert len({_key(spec) for spec in (plain, exported, other)}) == 3
    trained = {key_of_training(trained_spec(spec), "sha256:1") for spec in (plain, exported, other)}
    assert len(trained) == 1


@pytest.mark.parametrize("sets", ["seed=2", "training.steps=31", "model.d_model=32", "decoding.max_new_tokens=7"])
def test_what_trains_another_model_is_another_training(small_spec: SmallSpec, sets: str) -> None:
    spec, other = small_spec("export=onnx"), small_spec("export=onnx", sets)
    assert key_of_training(trained_spec(spec), "r") != key_of_training(trained_spec(other), "r")
    assert key_of_training(trained_spec(spec), "r") != key_of_training(trained_spec(spec), "another revision")


def test_a_spec_without_an_export_is_as_it_was(small_spec: SmallSpec) -> None:
    """Its hash names records that were made before there were any."""
    assert "export" not in small_spec().plain()


def test_controls_are_those_of_the_model(small_spec: SmallSpec) -> None:
    plain, exported = small_spec(), small_spec("export=onnx")
    assert controls_of(plain) == controls_of(exported)
    keys = [Cell(spec, "sha256:1", "cpu").baseline_key("copy") for spec in (plain, exported)]
    assert keys[0] == keys[1]


def test_the_records_of_models_in_torch_are_as_they_were(make_record: MakeRecord) -> None:
    plain = json.loads(make_record().model_dump_json(by_alias=True))
    assert "export" not in plain
    measured = Performance(device="cpu", device_kind="cpu", threads=1, dtype="float32", attention="sdpa")
    assert "disk_bytes" not in measured.model_dump()
    part = ExportPart(exporter="onnx", weights="int8", runtime={"onnxruntime": "1.0"})
    assert Record.model_validate_json(make_record(export=part).model_dump_json(by_alias=True)).export == part


def test_the_probes_of_an_export_import_no_torch() -> None:
    """Its memory would count as the export's."""
    code = (
        "import sys, zoo.export.latency_probe, zoo.export.batch_probe\n"
        "print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_export_that_is_not_its_model_is_a_verdict_with_what_training_cost(
    home: DataHome, small_spec: SmallSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no fault of the machine, which would be tried again."""
    trained = TrainingOutcome("ok", None, 30, 30, 30, 2.0, None, curve=(CurvePoint(30, loss=1.0),))

    def export(source: Path, out: Path, *arguments: Any, **options: Any) -> Any:
        raise UnfitError("logits of the export differ from torch's by 3, more than 0.0001", f": nothing is in {out}")

    monkeypatch.setattr(SharedTraining, "outcome", lambda *arguments, **options: trained)
    monkeypatch.setattr(cell_process, "export_model", export)
    work = WorkFolder(tmp_path / "cell")
    work.path.mkdir()
    plain = {"home": str(home.root), "store": str(tmp_path), "threads": 1}
    spec = small_spec("export=onnx")
    work.write_request(Request(job="model", spec=spec.plain(), **plain))
    outcome = cell_process.run_exported(spec, work, home, silent)
    assert outcome.status == "invalid"
    assert outcome.error == "logits of the export differ from torch's by 3, more than 0.0001"
    assert (outcome.steps, outcome.training_seconds, len(outcome.curve)) == (30, 2.0, 1)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> DataHome:
    return DataHome(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def records(home: DataHome, small_spec: SmallSpec, tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    runner = Runner(RecordStore(tmp_path_factory.mktemp("records")), home=home, threads=1)
    one = runner.run(small_spec("export=onnx", "name=one")).record
    with cells_in_this_process():
        two = runner.run(small_spec("export=ctranslate2", "name=two", "measurement.processes=0")).record
    return [one, two]


@pytest.mark.slow
def test_they_are_made_of_one_training(records: list[Record], home: DataHome) -> None:
    assert {record.status for record in records} <= {"ok", "collapsed"}, [record.error for record in records]
    assert len(list((home.root / "cells").glob("trained-*[!k]"))) == 1
    assert records[0].training_seconds == records[1].training_seconds
    assert records[0].curve == records[1].curve
    assert records[0].parameters == records[1].parameters
    assert records[0].quality[0].value == records[1].quality[0].value


@pytest.mark.slow
def test_what_ran_is_on_record(records: list[Record]) -> None:
    for record, exporter, runtime in zip(records, ("onnx", "ctranslate2"), ("onnxruntime", "ctranslate2"), strict=True):
        assert record.export is not None
        assert record.export.exporter == exporter
        assert set(record.export.runtime) == {runtime}
        assert record.export.parity is not None
        assert key_of_record(record) == record.cell
    (measured,) = records[0].performance
    assert measured.attention == "none"
    assert measured.latency is not None
    assert measured.disk_bytes is not None
    assert measured.throughput[0].tokens_per_second is not None
    assert records[1].performance == []


@pytest.mark.soak
def test_one_that_torch_runs_is_measured_as_models_are(home: DataHome, small_spec: SmallSpec, tmp_path: Path) -> None:
    """In its precision, reading and writing apart, with the bytes of its weights; probes, too, are read off it."""
    spec = small_spec("export={use: torch, weights: bfloat16}", "evaluation.probes=[repetition]")
    record = Runner(RecordStore(tmp_path), home=home, threads=1).run(spec).record
    assert record.status in {"ok", "collapsed"}, record.error
    assert record.export is not None
    assert (record.export.exporter, record.export.weights) == ("torch", "bfloat16")
    assert set(record.export.runtime) == {"torch"}
    assert any(name.startswith("repetition.") for name in record.probes)
    (measured,) = record.performance
    assert measured.dtype == "bfloat16"
    assert measured.decode_per_token is not None
    assert measured.disk_bytes is not None
    assert record.parameters is not None
    assert 2 * record.parameters <= measured.disk_bytes < 3 * record.parameters


@pytest.mark.slow
def test_torch_is_not_in_its_memory(records: list[Record]) -> None:
    """An interpreter with onnxruntime and a model of a few kilobytes stays below what importing torch takes."""
    (measured,) = records[0].performance
    assert measured.memory is not None
    assert measured.memory.peak < 200 * 2**20


def test_what_cannot_be_exported_is_told_by_its_key() -> None:
    class Refusing:
        def refuse(self, model: Any) -> None:
            raise InputError("model.position: cannot be said")

    spec = SimpleNamespace(export=SimpleNamespace(create=Refusing))
    with pytest.raises(InputError, match="export: model.position: cannot be said"):
        refuse_unexportable(cast(Spec, spec), object())
