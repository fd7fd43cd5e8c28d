"""A written plugin as its author meets it: built, installed, tested, listed, checked, benchmarked."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from zoo.scaffold import TEMPLATES, write_plugin

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a package of each kind, and the folder ``site`` that their wheels are installed in."""
    folder = tmp_path_factory.mktemp("authors")
    for kind in TEMPLATES:
        write_plugin(f"zoo-acme-{kind}", kind, folder / kind)
    offline = ("--quiet", "--no-deps", "--no-index", "--disable-pip-version-check")
    built = [str(folder / kind) for kind in TEMPLATES]
    run(folder, "-m", "pip", "wheel", *offline, "--no-build-isolation", "--wheel-dir", str(folder / "wheels"), *built)
    wheels = sorted(str(wheel) for wheel in (folder / "wheels").glob("*.whl"))
    assert len(wheels) == len(TEMPLATES)
    run(folder, "-m", "pip", "install", *offline, "--target", str(folder / "site"), *wheels)
    return folder


def run(folder: Path, *arguments: str, timeout: int = 600) -> str:
    """What this Python says, with ``folder/site`` installed beside what is installed here; nothing of ours in reach."""
    here = {key: value for key, value in os.environ.items() if not key.startswith(("ZOO_", "PYTEST_"))}
    path = os.pathsep.join(item for item in (str(folder / "site"), os.environ.get("PYTHONPATH", "")) if item)
    environment = {**here, "PYTHONPATH": path, "ZOO_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return done.stdout


def zoo(folder: Path, *arguments: str) -> str:
    return run(folder, "-m", "zoo.cli.main", *arguments)


def kinds() -> Iterator[str]:
    yield from TEMPLATES


def test_every_kind_is_listed_checked_and_well(projects: Path) -> None:
    listed = {(item["kind"], item["id"]) for item in json.loads(zoo(projects, "list", "--json"))}
    assert {(kind, f"zoo-acme-{kind}/acme-{kind}") for kind in kinds()} <= listed
    for kind in kinds():
        assert f"{kind} acme-{kind}" in zoo(projects, "check", f"{kind}/spec.yaml")
    problems = json.loads(zoo(projects, "plugins", "doctor", "--json"))["problems"]
    assert problems == []


def test_every_kind_passes_its_own_tests(projects: Path) -> None:
    found = run(projects, "-m", "pytest", "-q", "-m", "not slow", *pytest_options(), *folders_of(kinds()))
    passed = re.search(r"(\d+) passed", found)
    assert passed is not None
    # The smallest suite has twenty tests.
    assert int(passed.group(1)) > 20 * len(TEMPLATES)


def test_the_compiled_model_passes_too(projects: Path) -> None:
    found = run(projects, "-m", "pytest", "-q", "-m", "slow", *pytest_options(), *folders_of(["fusion"]))
    assert "1 passed" in found


@pytest.mark.soak
def test_every_kind_is_typed(projects: Path) -> None:
    pytest.importorskip("mypy")
    packages = [f"zoo_acme_{kind.replace('-', '_')}" for kind in kinds()]
    config = str(projects / "position" / "pyproject.toml")
    names = [argument for package in packages for argument in ("-p", package)]
    assert "Success" in run(projects, "-m", "mypy", "--config-file", config, *names)


def test_a_small_benchmark_of_its_spec_is_recorded(projects: Path) -> None:
    small = """
extends: position/spec.yaml
task: {corpus: {pairs: 120, dev_pairs: 5, test_pairs: 8}}
model: {d_model: 16}
training: {steps: 3, save_every: 3, evaluate_every: 3}
decoding: {max_new_tokens: 4}
measurement: {processes: 0}
"""
    (projects / "small.yaml").write_text(small)
    zoo(projects, "bench", "small.yaml", "--store", "records")
    records = [json.loads(path.read_text()) for path in (projects / "records").rglob("*.json")]
    (record,) = [record for record in records if record["role"] == "model"]
    assert record["status"] in {"ok", "collapsed"}
    assert record["spec"]["model"]["position"]["use"] == "zoo-acme-position/acme-position"
    assert record["spec"]["decoding"]["strategy"]["use"] == "zoo-decoding/greedy"
    assert "zoo-acme-position" in record["distributions"]


def pytest_options() -> tuple[str, ...]:
    return ("-p", "no:cacheprovider", "--import-mode=importlib", "--rootdir=.")


def folders_of(chosen: Iterator[str] | Sequence[str]) -> list[str]:
    return [f"{kind}/tests" for kind in chosen]
