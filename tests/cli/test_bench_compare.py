"""`zoo bench compare A B` as a CI job meets it: exit status, one-line mistakes, JSON, no torch."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from zoo.cli.main import main

BLEU = {"use": "bleu", "resamples": 100}


def zoo(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What the command answers, in this process: one of its own would import everything anew."""
    command = ["bench", "compare", *arguments]
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        status = main(command)
    return subprocess.CompletedProcess(command, status, out.getvalue(), err.getvalue())


def zoo_alone(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The same in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "zoo.cli.main", "bench", "compare", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
    )


@pytest.fixture
def store(tmp_path: Path, add_model: Callable[..., Any], measured: Callable[..., Any]) -> Path:
    """Two models of three seeds: ``better`` makes half the mistakes of ``base``, ``slow`` a third more time."""
    folder = tmp_path / "records"
    for seed in (1, 2, 3):
        add_model(folder, "base", seed=seed, errors=0.4, metrics=[BLEU], performance=[measured()])
        add_model(folder, "better", seed=seed, errors=0.2, metrics=[BLEU], performance=[measured()])
        add_model(folder, "slow", seed=seed, errors=0.4, metrics=[BLEU], performance=[measured(1.33, 0.75)])
    return folder


def test_better_quality_at_the_same_speed_is_no_regression(store: Path) -> None:
    run = zoo("base", "better", "--store", str(store))
    assert (run.returncode, run.stderr) == (0, "")
    lines = run.stdout.splitlines()
    assert lines[0] == "A  base  office-zh-en  seeds 1, 2, 3"
    assert lines[3].split() == ["QUALITY", "A", "B", "B", "-", "A", "95%", "INTERVAL", "P", "(HOLM)", "VERDICT"]
    assert lines[4].startswith("bleu ")
    assert lines[4].endswith("better")
    assert lines[-1] == "No regression: B is better in bleu."
    assert "Evidence: training seeds and test examples" in run.stdout
    assert "On the seeds alone, unadjusted: bleu Welch p = 0.0" in run.stdout


def test_worse_quality_and_slower_are_regressions_with_status_1(store: Path) -> None:
    worse = zoo("better", "base", "--store", str(store))
    assert worse.returncode == 1
    assert worse.stdout.splitlines()[-1] == "Regression: B is worse in bleu."
    slow = zoo("base", "slow", "--store", str(store))
    assert slow.returncode == 1
    assert slow.stdout.splitlines()[-1] == "Regression: B is slower in latency; slower in throughput, batch 16."
    assert main(["bench", "compare", "base", "slow", "--store", str(store), "--max-slowdown", "60%"]) == 0


def test_two_stores_are_a_gate(store: Path, tmp_path: Path, add_model: Callable[..., Any]) -> None:
    new = tmp_path / "new"
    for seed in (1, 2, 3):
        add_model(new, "base", seed=seed, errors=0.9, metrics=[BLEU])
    run = zoo(str(store), str(new))
    assert run.returncode == 1
    assert "Only in A: office-zh-en:better, office-zh-en:slow" in run.stdout
    assert run.stdout.splitlines()[-1].startswith("Regression: B is worse in bleu")


def test_json_says_the_same_as_the_exit_status(store: Path) -> None:
    run = zoo("base", "slow", "--store", str(store), "--json", "--metric", "bleu")
    found = json.loads(run.stdout)
    assert found["schema"] == "zoo.comparison/1"
    assert found["exit_status"] == run.returncode == 1
    assert found["regressions"] == ["slower in latency", "slower in throughput, batch 16"]
    (model,) = found["models"]
    assert [item["metric"] for item in model["quality"]] == ["bleu"]
    assert [item["quantity"] for item in model["performance"]] == [
        "latency",
        "throughput, batch 16",
        "peak memory, rss",
    ]
    assert model["performance"][0]["ratio"] == pytest.approx(1.33)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["base", "beter"], "no model, record, file or folder 'beter': did you mean 'better'?"),
        (["base", "better", "--metric", "blue"], "no metric 'blue' on record: did you mean 'bleu'?"),
        (["base", "./nowhere.json"], "./nowhere.json: there is no such file or folder"),
        (["base", "better", "--max-slowdown", "-5%"], "expected a share such as 5% or 0.05, found '-5%'"),
        (["base", "better", "--alpha", "1"], "'--alpha'"),
        (["base", "better", "--alpha", "nan"], "'--alpha': nan is not a finite number"),
        (["base"], "Missing argument 'B'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line_and_status_2(
    store: Path, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "compare", *arguments, "--store", str(store)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith("zoo: ")
    assert says in err


def test_nothing_comparable_is_status_1(
    store: Path, add_model: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    add_model(store, "newer-data", data_revision="sha256:2", metrics=[BLEU])
    assert main(["bench", "compare", "base", "newer-data", "--store", str(store)]) == 1
    assert (
        capsys.readouterr().out.splitlines()[-1] == "Nothing to compare: other data: revisions sha256:1 and sha256:2."
    )


def test_without_the_metrics_plugin_the_comparison_says_so_and_goes_on(store: Path) -> None:
    run = zoo_alone("base", "better", "--store", str(store), ZOO_BLOCK="zoo-tasks-text")
    assert run.returncode == 0
    assert "the metric 'zoo-tasks-text/bleu' cannot be loaded here" in run.stdout
    assert "Evidence: the training seeds alone" in run.stdout
    assert run.stderr == ""


def test_unreadable_files_are_named_and_the_rest_is_compared(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (store / "torn.json").write_text("{")
    assert main(["bench", "compare", "base", "better", "--store", str(store)]) == 0
    assert capsys.readouterr().err.startswith(f"zoo: left out {store}/torn.json: ")


def test_what_a_stranger_calls_a_model_cannot_command_the_terminal(
    tmp_path: Path, add_model: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    name = "evil\x1b[2J\n\u202eeman"
    add_model(tmp_path / "old", name, metrics=[BLEU])
    add_model(tmp_path / "new", name, status="nan", error="\x1b]0;owned\x07", quality=[])
    assert main(["bench", "compare", str(tmp_path / "old"), str(tmp_path / "new")]) == 1
    out = capsys.readouterr().out
    assert all(char.isprintable() or char == "\n" for char in out)
    assert "evil\\x1b[2J\\n\\u202eeman" in out


def test_a_spec_called_compare_is_still_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "compare").write_text("nmae: x\n")
    run = subprocess.run(
        [sys.executable, "-m", "zoo.cli.main", "bench", "./compare"], capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 2
    assert "compare:1:1: unknown key 'nmae'" in run.stderr


def test_neither_torch_nor_transformers_is_imported(store: Path) -> None:
    program = (
        "import sys\nfrom zoo.cli.main import main\n"
        f"status = main(['bench', 'compare', 'base', 'better', '--store', {str(store)!r}])\n"
        "heavy = sorted({'torch', 'transformers'} & set(sys.modules))\n"
        "sys.stderr.write(f'status={status} heavy={heavy}')"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert run.stderr == "status=0 heavy=[]"
