from __future__ import annotations

import json
from pathlib import Path

import pytest

from zoo.bench.record import Performance
from zoo.cli.main import main
from zoo.spec import load_spec
from zoo.tasks import DataHome
from zoo.testing.in_process import probes_in_this_process
from zoo.training import build

SMOKE = Path(__file__).parents[2] / "benchmarks" / "specs" / "smoke.yaml"


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    spec = load_spec(SMOKE, ["decoding.max_new_tokens=4", "model.d_model=16", "task.corpus.pairs=300"])
    build(spec, tmp_path / "model", DataHome(tmp_path / "home"))
    return tmp_path / "model"


@pytest.mark.slow
@pytest.mark.once
def test_two_models_are_measured_whole_and_compared(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--processes", "1", "--samples", "3", "--batch", "2", "--json"]
    assert main(["measure", str(model), str(model), *options]) == 0
    found = json.loads(capsys.readouterr().out)
    for one in found["models"]:
        performance = Performance.model_validate(one["performance"])
        assert performance.latency is not None
        assert len(performance.latency.processes) == 1
        assert len(performance.latency.values) == 3
        assert [rate.batch for rate in performance.throughput] == [2]
        assert performance.memory is not None
    (against,) = found["comparisons"]
    quantities = {row["quantity"]: row for row in against["quantities"]}
    expected = {"latency", "encode", "decode_per_token"}
    assert expected <= set(quantities)
    for row in quantities.values():
        assert (row["verdict"], row["interval"]) == ("cannot tell", None), "one process and one tell nothing"
        assert row["ratio"] > 0
    assert "cpu_state" in found["machine"]


@pytest.mark.slow
@pytest.mark.once
def test_the_report_names_device_and_quantities(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sentences = tmp_path / "sentences.txt"
    sentences.write_text("\ufeffba ko\n\n  ta ba \r\n", encoding="utf-8")
    arguments = [str(model), "--processes", "1", "--samples", "2", "--batch", "1", "--sentences", str(sentences)]
    with probes_in_this_process():
        assert main(["measure", *arguments]) == 0
    out = capsys.readouterr().out
    for word in ("latency", "decode per token", "throughput, batch 1", "memory, batch 1", "Calibration"):
        assert word in out
    assert "everything ran on the CPU" in out or "device time" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent"], "no such folder"),
        (["."], "not a folder of 'zoo build' or 'zoo train'"),
        ([".", "--processes", "0"], "'--processes'"),
        ([".", "--batch", "x"], "'--batch'"),
        ([".", "--sentences", "absent.txt"], "--sentences absent.txt: cannot be read"),
        ([".", "--sentences", "empty.txt"], "expected one sentence a line, found none"),
        ([".", "--sentences", "latin.txt"], "not UTF-8 at byte 3"),
        ([".", "--sentences", "."], "--sentences .: cannot be read"),
        ([], "DIR"),
    ],
)
def test_wrong_input_is_one_line_and_status_2(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.txt").write_text(" \n\n")
    (tmp_path / "latin.txt").write_bytes("caf\xe9".encode("latin-1"))
    assert main(["measure", *arguments]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.slow
@pytest.mark.once
def test_models_of_several_tasks_need_sentences(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = load_spec(SMOKE, ["model.d_model=16", "task.corpus.pairs=200"])
    build(spec, tmp_path / "other", DataHome(tmp_path / "home"))
    assert main(["measure", str(model), str(tmp_path / "other")]) == 2
    assert "its task is not that of" in capsys.readouterr().err
