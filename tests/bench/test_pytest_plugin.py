"""The pytest plugin in real pytest runs, each in a process of its own."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from zoo.bench import RecordStore
from zoo.bench.publish import publish
from zoo.bench.pytest_plugin import Benchmarks
from zoo.bench.run import Runner
from zoo.bench.soundness import check_store, contradictions
from zoo.spec import load_cells
from zoo.tasks import DataHome

pytest_plugins = ["pytester"]

BASE = Path(__file__).parents[2] / "benchmarks" / "specs"
CELLS = """
import pytest

@pytest.mark.zoo_cells("specs/*.yaml")
def test_cell(zoo_cell):
    zoo_cell()

def test_other():
    pass
"""
SPEC = """
extends: base.yaml
name: tiny
task: {use: translation, corpus: {use: generated, pairs: 300}, source: qaa, target: qab}
model: {d_model: 16}
grid:
  model.position: [none, rotary]
"""


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.Pytester:
    """A test folder outside this checkout with one spec of two cells."""
    # The environment's own plugins do not belong to what is tested.
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:cacheprovider -p no:randomly")
    # Nor does it run under the xdist that may run this suite: pytest-benchmark would switch itself off.
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    pytester.makepyfile(test_cells=CELLS)
    specs = pytester.mkdir("specs")
    (specs / "base.yaml").write_text((BASE / "base.yaml").read_text())
    (specs / "tiny.yaml").write_text(SPEC)
    return pytester


@pytest.mark.slow
def test_without_the_flag_cells_are_smoke_tests_named_after_them(suite: pytest.Pytester) -> None:
    """One of them fails where its component does not work: a head of odd width cannot be rotated in pairs."""
    odd = SPEC.replace("d_model: 16", "d_model: 12").replace("name: tiny", "name: odd")
    (suite.path / "specs" / "odd.yaml").write_text(odd)
    result = suite.runpytest_subprocess("-v")
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines_random(
        [
            "*test_cell[[]tiny+position=none] PASSED*",
            "*test_cell[[]tiny+position=rotary] PASSED*",
            "*test_cell[[]odd+position=none] PASSED*",
            "*test_cell[[]odd+position=rotary] FAILED*",
            "*rotary positions turn pairs of features*",
        ]
    )
    assert "benchmark: " not in "\n".join(line for line in result.outlines if "passed" in line)
    assert not (suite.path / "leaderboard").exists()


def ids(suite: pytest.Pytester) -> list[str]:
    result = suite.runpytest_subprocess("--collect-only", "-q")
    return [line.partition("[")[2].rstrip("]") for line in result.outlines if "test_cell[" in line]


def test_a_cell_has_the_same_id_however_many_seeds_there_are_and_one_name_in_two_files_makes_two_ids(
    suite: pytest.Pytester,
) -> None:
    plain = SPEC.split("grid:")[0]
    for name, grid in (
        ("one", "grid: {seed: [3]}\n"),
        ("two", "grid: {seed: [3, 7], model.heads: [2, 4]}\n"),
        ("plain", ""),
    ):
        (suite.path / "specs" / f"a-{name}.yaml").write_text(plain.replace("name: tiny", f"name: {name}") + grid)
    (suite.path / "specs" / "other.yaml").write_text(SPEC + "  training.steps: [5]\n")
    (suite.path / "specs" / "same.yaml").write_text(SPEC)
    found = ids(suite)
    assert sorted(found[:6]) == sorted(
        ["one+seed=3", "plain", *(f"two+heads={heads}+seed={seed}" for seed in (3, 7) for heads in (2, 4))]
    )
    assert [name for name in found if name.startswith("two")] == [
        f"two+heads={heads}+seed={seed}" for seed in (3, 7) for heads in (2, 4)
    ]
    assert found[6:] == [
        "tiny+position=none+steps=5",
        "tiny+position=rotary+steps=5",
        "tiny+position=none@specs/same",
        "tiny+position=rotary@specs/same",
        "tiny+position=none@specs/tiny",
        "tiny+position=rotary@specs/tiny",
    ]


def test_a_wrong_spec_is_one_clear_collection_error(suite: pytest.Pytester) -> None:
    (suite.path / "specs" / "tiny.yaml").write_text(SPEC.replace("rotary", "rotari"))
    result = suite.runpytest_subprocess()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*tiny.yaml:7:*rotari*did you mean 'rotary'?*"])
    result.stdout.no_fnmatch_line("*Traceback*")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--benchmark-strict"], "*--benchmark-strict: expected together with --benchmark*"),
        (["--benchmark", "-n", "2"], "*one cell at a time: leave out -n*"),
        (["--benchmark", "-p", "no:benchmark"], "*needs pytest-benchmark*"),
    ],
)
def test_flags_that_make_no_sense_together_are_refused(
    suite: pytest.Pytester, arguments: list[str], message: str
) -> None:
    result = suite.runpytest_subprocess(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])


def test_the_flag_stands_beside_pytest_benchmarks_own_options(suite: pytest.Pytester) -> None:
    result = suite.runpytest_subprocess("--help")
    lines = [line.split()[0] for line in result.outlines if line.strip().startswith("--benchmark")]
    assert {"--benchmark", "--benchmark-strict", "--benchmark-json=PATH", "--benchmark-only"} <= set(lines)


class TestWithTheFlag:
    """Both cells are on record already, so that nothing is trained here: one well, one not."""

    SAMPLES = (0.25, 0.125, 0.1, 1 / 3)

    @pytest.fixture
    def recorded(self, suite: pytest.Pytester, tmp_path: Path, make_record: Any) -> dict[str, Any]:
        import torch

        torch.set_num_threads(1)
        store = RecordStore(suite.path / "leaderboard" / "records")
        runner = Runner(store, home=DataHome(tmp_path / "home"))
        good, bad = (cell.spec for cell in load_cells(suite.path / "specs" / "tiny.yaml"))
        latency = {
            "unit": "s",
            "samples": len(self.SAMPLES),
            "median": 0.1875,
            "minimum": 0.1,
            "maximum": 1 / 3,
            "processes": [0.1875, 0.21],
            "values": list(self.SAMPLES),
        }
        performance = {
            "device": "cpu",
            "device_kind": "cpu",
            "threads": 1,
            "dtype": "float32",
            "attention": "sdpa",
            "latency": latency,
            "throughput": [{"batch": 2, "tokens_per_second": 12.5}],
        }
        quality = {
            "metric": "bleu",
            "value": 31.5,
            "direction": "higher",
            "unit": "points",
            "signature": "s",
            "split": "test",
            "examples": 9,
        }
        records = {
            "good": make_record(cell=runner._cell(good).key, performance=[performance], quality=[quality]),
            "bad": make_record(cell=runner._cell(bad).key, status="nan", error="step 3: not finite"),
        }
        for job in ("copy", "untrained"):
            records[job] = make_record(cell=runner._cell(good).baseline_key(job), role="baseline", name=job)
        for record in records.values():
            store.append(record)
        return records

    @pytest.mark.slow
    def test_recorded_samples_reach_pytest_benchmarks_report_to_the_last_bit_and_are_compared_by_itself(
        self, suite: pytest.Pytester, recorded: dict[str, Any]
    ) -> None:
        # Saved once by name and once by date; its own verdict on the same samples is that nothing is slower.
        saving = ("--benchmark-save", "first")
        result = suite.runpytest_subprocess("--benchmark", "--benchmark-json", "out.json", "-v", "-rx", *saving)
        assert result.ret == 0
        result.assert_outcomes(passed=2, xfailed=1)
        result.stdout.fnmatch_lines([f"*recorded as nan: step 3: not finite ({recorded['bad'].id})*"])
        result.stdout.no_fnmatch_line("*fixture was not used*")
        store = suite.path / "leaderboard" / "records"
        result.stdout.fnmatch_lines([f"zoo: 0 cells run, 2 found on record in {store}"])
        report = json.loads((suite.path / "out.json").read_text())
        (entry,) = report["benchmarks"]
        assert entry["stats"]["data"] == list(self.SAMPLES)
        assert entry["stats"]["rounds"] == len(self.SAMPLES)
        assert entry["stats"]["median"] == pytest.approx(0.1875)
        assert entry["options"]["timer"] == "zoo-record"
        assert entry["param"] == "tiny+position=none"
        assert entry["params"] == {"zoo_cell": "tiny+position=none"}
        assert entry["group"] == recorded["good"].task
        assert entry["extra_info"]["record"] == recorded["good"].id
        assert entry["extra_info"]["status"] == "ok"
        assert entry["extra_info"]["cached"] is True
        assert entry["extra_info"]["quality.bleu"] == 31.5
        assert entry["extra_info"]["cpu.tokens_per_second.batch_2"] == 12.5
        assert set(report["machine_info"]["zoo"]) == {"hardware_class", "gpus"}
        assert len(list((suite.path / "leaderboard" / "records").iterdir())) == 4

        again = ("--benchmark-compare", "--benchmark-compare-fail", "median:1%", "--benchmark-autosave")
        result = suite.runpytest_subprocess("--benchmark", *again)
        assert result.ret == 0
        result.stdout.fnmatch_lines_random(["*test_cell?tiny+position=none? (0001_first)*", "*position=none? (NOW)*"])
        saved = sorted((suite.path / ".benchmarks").rglob("*.json"))
        assert len(saved) == 2
        done = suite.run(sys.executable, "-m", "pytest_benchmark", "compare", "--csv", "out.csv", "--columns", "median")
        assert done.ret == 0
        done.stdout.fnmatch_lines_random(["*tiny+position=none? (0001_first)*", "*tiny+position=none? (0002_*"])
        with (suite.path / "out.csv").open() as table:
            rows = list(csv.DictReader(table))
        assert [float(row["median"]) for row in rows] == [pytest.approx(0.1875)] * 2
        assert {row["param:zoo_cell"] for row in rows} == {"tiny+position=none"}

    @pytest.mark.slow
    def test_strict_makes_a_recorded_failure_a_failed_test_and_a_cell_that_cannot_be_run_fails_in_one_line(
        self, suite: pytest.Pytester, recorded: dict[str, Any]
    ) -> None:
        corpus = "{use: parallel-files, name: mine, languages: [qaa, qab], train: a.tsv}"
        absent = SPEC.split("grid:")[0].replace("{use: generated, pairs: 300}", corpus)
        (suite.path / "specs" / "absent.yaml").write_text(absent.replace("name: tiny", "name: absent"))
        result = suite.runpytest_subprocess("--benchmark", "--benchmark-strict", "--benchmark-only")
        result.assert_outcomes(passed=1, failed=2, skipped=1)
        result.stdout.fnmatch_lines_random(["*recorded as nan*", "the cell cannot be run: *a.tsv*"])
        result.stdout.no_fnmatch_line("*Traceback*")

    @pytest.mark.soak
    def test_profiling_and_disabling_leave_the_records_alone(
        self, suite: pytest.Pytester, recorded: dict[str, Any]
    ) -> None:
        for option in ("--benchmark-cprofile=tottime", "--benchmark-disable"):
            suite.runpytest_subprocess("--benchmark", option).assert_outcomes(passed=2, xfailed=1)
        assert len(list((suite.path / "leaderboard" / "records").iterdir())) == 4


@pytest.mark.slow
def test_timings_of_another_machine_are_refused_before_anything_runs(suite: pytest.Pytester) -> None:
    gpu = {"name": "NVIDIA H100"}
    machine = {"zoo": {"hardware_class": "cuda: NVIDIA H100", "gpus": [gpu, gpu]}}
    saved = suite.mkdir(".benchmarks") / "Linux-CPython-3.11-64bit" / "0001_first.json"
    saved.parent.mkdir()
    saved.write_text(json.dumps({"machine_info": machine, "commit_info": {}, "benchmarks": [], "version": "5.3.1"}))
    result = suite.runpytest_subprocess("--benchmark", "--benchmark-compare", "0001")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    message = result.stderr.str()
    assert "--benchmark-compare: this is '" in message
    assert "the saved run is of 'cuda: NVIDIA H100, 2 GPUs: NVIDIA H100, NVIDIA H100'" in message
    assert "Traceback" not in message
    assert not (suite.path / "leaderboard").exists()


@pytest.mark.parametrize("saved", [{}, {"machine_info": None}, {"machine_info": {"node": "x"}}, {"machine_info": []}])
def test_timings_of_a_machine_whose_gpu_nobody_noted_are_refused(pytestconfig: Any, saved: dict[str, Any]) -> None:
    here = {"zoo": {"hardware_class": "cpu: Some CPU (2 threads)", "gpus": []}}
    plugin = Benchmarks(pytestconfig)
    plugin.pytest_benchmark_compare_machine_info(here, {"machine_info": here})
    with pytest.raises(pytest.UsageError, match="this is 'cpu: Some CPU .2 threads.'.*whose GPU nobody noted"):
        plugin.pytest_benchmark_compare_machine_info(here, saved)


@pytest.mark.slow
def test_with_the_flag_a_cell_is_run_and_recorded(suite: pytest.Pytester, tmp_path: Path) -> None:
    (suite.path / "specs" / "tiny.yaml").write_text(
        SPEC.split("grid:")[0]
        + "tokenizer: {use: unigram, vocab_size: 200}\n"
        + "training: {steps: 20}\ndecoding: {max_new_tokens: 6}\n"
        + "evaluation: {max_examples: 12}\nmeasurement: {latency_samples: 4, processes: 1, throughput_batches: [2]}\n"
    )
    arguments = ["--benchmark", "--zoo-store", str(tmp_path / "store"), "--benchmark-json", "out.json"]
    suite.runpytest_subprocess(*arguments)
    records = RecordStore(tmp_path / "store").read().records
    assert sorted(record.name for record in records) == ["copy", "tiny", "untrained"]
    (record,) = [record for record in records if record.role == "model"]
    assert record.performance[0].latency is not None
    (entry,) = json.loads((suite.path / "out.json").read_text())["benchmarks"]
    assert entry["stats"]["data"] == record.performance[0].latency.values
    assert entry["extra_info"]["record"] == record.id
    assert entry["extra_info"]["cached"] is False
    assert len(record.performance[0].latency.processes) == 1
    # What a cell writes is what the check of a submission expects, published or not.
    for folder in ("store", "published"):
        report = check_store(tmp_path / folder)
        assert report.problems == ()
        assert (report.records, report.outputs, report.recomputed) == (3, 3, 6)
        publish(tmp_path / "store", tmp_path / "published", check=contradictions)
