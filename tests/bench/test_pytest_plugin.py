"""The pytest plugin in real pytest runs, each in a process of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from zoo.bench import RecordStore
from zoo.bench.run import Runner
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


def test_without_the_flag_cells_are_smoke_tests_named_after_them(suite: pytest.Pytester) -> None:
    result = suite.runpytest_subprocess("-v")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(
        ["*test_cell[[]tiny+position=none] PASSED*", "*test_cell[[]tiny+position=rotary] PASSED*"]
    )
    assert "benchmark: " not in "\n".join(line for line in result.outlines if "passed" in line)
    assert not (suite.path / "leaderboard").exists()


def test_cells_that_differ_in_their_seed_alone_have_it_in_their_ids(suite: pytest.Pytester) -> None:
    (suite.path / "specs" / "tiny.yaml").write_text(SPEC.split("grid:")[0] + "grid: {seed: [3, 7]}\n")
    result = suite.runpytest_subprocess("--collect-only", "-q")
    result.stdout.fnmatch_lines(["*test_cell[[]tiny+seed=3]", "*test_cell[[]tiny+seed=7]"])


@pytest.mark.slow
def test_a_component_that_does_not_work_fails_its_smoke_test(suite: pytest.Pytester) -> None:
    # An attention head of odd width cannot be rotated in pairs.
    (suite.path / "specs" / "tiny.yaml").write_text(SPEC.replace("d_model: 16", "d_model: 12"))
    result = suite.runpytest_subprocess()
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*rotary positions turn pairs of features*"])


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

    def test_recorded_samples_reach_pytest_benchmarks_report_to_the_last_bit(
        self, suite: pytest.Pytester, recorded: dict[str, Any]
    ) -> None:
        result = suite.runpytest_subprocess("--benchmark", "--benchmark-json", "out.json", "-v", "-rx")
        result.assert_outcomes(passed=2, xfailed=1)
        result.stdout.fnmatch_lines([f"*recorded as nan: step 3: not finite ({recorded['bad'].id})*"])
        result.stdout.no_fnmatch_line("*fixture was not used*")
        report = json.loads((suite.path / "out.json").read_text())
        (entry,) = report["benchmarks"]
        assert entry["stats"]["data"] == list(self.SAMPLES)
        assert entry["stats"]["rounds"] == len(self.SAMPLES)
        assert entry["stats"]["median"] == pytest.approx(0.1875)
        assert entry["options"]["timer"] == "zoo-record"
        assert entry["param"] == "tiny+position=none"
        assert entry["extra_info"]["record"] == recorded["good"].id
        assert entry["extra_info"]["status"] == "ok"
        assert entry["extra_info"]["quality.bleu"] == 31.5
        assert entry["extra_info"]["cpu.tokens_per_second.batch_2"] == 12.5
        assert set(report["machine_info"]["zoo"]) == {"hardware_class", "gpus"}
        assert len(list((suite.path / "leaderboard" / "records").iterdir())) == 4

    def test_strict_makes_a_recorded_failure_a_failed_test(
        self, suite: pytest.Pytester, recorded: dict[str, Any]
    ) -> None:
        result = suite.runpytest_subprocess("--benchmark", "--benchmark-strict", "--benchmark-only")
        result.assert_outcomes(passed=1, failed=1, skipped=1)
        result.stdout.fnmatch_lines(["*recorded as nan*"])


@pytest.mark.slow
def test_with_the_flag_a_cell_is_run_and_recorded(suite: pytest.Pytester, tmp_path: Path) -> None:
    (suite.path / "specs" / "tiny.yaml").write_text(
        SPEC.split("grid:")[0]
        + "tokenizer: {use: unigram, vocab_size: 200}\n"
        + "training: {steps: 20}\ndecoding: {max_new_tokens: 6}\n"
        + "evaluation: {max_examples: 12}\nmeasurement: {latency_samples: 4}\n"
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
